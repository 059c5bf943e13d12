"""`/whoami`: by which id somebody is known here, and what that person may do."""

from __future__ import annotations

from opencraw.contract import Address, ChatType, Rights

_LONGEST = 256


def in_words(
    here: Address, sender_id: str, rights: Rights, chat_type: ChatType, *, has_owner: bool
) -> str:
    """What is said to whoever asks. A chat that others share is named for an owner, who may want to
    list it; how one becomes the owner is told where nobody is."""
    is_owner = rights is Rights.OWNER
    lines = [f"- your id here: `{_harmless(sender_id)}`", f"- channel: {here.channel}"]
    if is_owner and chat_type is not ChatType.DIRECT:
        lines.append(f"- id of this chat: `{_harmless(here.chat)}`")
    if is_owner:
        lines.append("- rights: owner, who may do everything that can be done in a chat")
        return "\n".join(lines)
    lines.append("- rights: guest, who talks to the assistant; what only owners may do is refused")
    if not has_owner:
        lines.append(
            f"\nNobody is the owner on {here.channel} yet. If you are: put your id into `owners` "
            f"below `[channels.{here.channel}.access]` in the configuration, and start the daemon "
            "again. Or, while the code is good that you were given: "
            "`opencraw pairing approve CODE --owner`."
        )
    return "\n".join(lines)


def _harmless(name: str) -> str:
    """A platform's id, which is shown as code and on one line."""
    return " ".join(name[:_LONGEST].replace("`", "'").split())
