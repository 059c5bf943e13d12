"""`/send`: whether the assistant speaks in a conversation."""

from __future__ import annotations

from opencraw.contract import Rights
from opencraw.sessions.change import Speak

USAGE = "/send [on|off|inherit]"
_SENDS = {"on": True, "off": False, "inherit": None}
_WORDS = {
    "on": "The assistant speaks here, unless a rule of its operator denies it.",
    "off": "The assistant is silent here from now on: messages are kept and not answered. "
    "Commands are; `/send on` ends it.",
    "inherit": "Whether the assistant speaks here is left to the rules of its operator.",
}


def answer(argument: str, sends: bool | None, rights: Rights) -> tuple[str, Speak | None]:
    """What is said to `/send`, and what is chosen by it. `sends` was chosen before."""
    word = argument.casefold()
    if word and rights is not Rights.OWNER:
        return "Only the owner decides whether the assistant speaks here; ask them.", None
    if not word:
        now = next(name for name, chosen in _SENDS.items() if chosen is sends)
        return f"Whether the assistant speaks here: {now}.\n\n`{USAGE}` changes it.", None
    if word not in _SENDS:
        return f"`{argument[:40]}` is not understood. Usage: `{USAGE}`", None
    return _WORDS[word], Speak(_SENDS[word])
