"""Operator code, called at named points of a turn's life.

This is all that a hook's author needs: `@hook` makes one of an async function.
"""

from opencraw.hooks.hook import Hook, hook
from opencraw.hooks.hooks import Hooks
from opencraw.hooks.points import Denied, Facts, Go, Point, Verdict

__all__ = ["Denied", "Facts", "Go", "Hook", "Hooks", "Point", "Verdict", "hook"]
