from __future__ import annotations

from tests.webchat.browser import browser, visit

__all__ = ["browser", "visit"]
