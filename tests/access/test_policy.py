from __future__ import annotations

from typing import cast

import pytest

from opencraw.access.policy import Admitted, Code, Ignored, Stranger, Verdict, Who, decide
from opencraw.contract import Address, ChatType, Rights, Sender
from opencraw.settings import AccessMode, AccessSettings

OWNER, GUEST = Admitted(Rights.OWNER), Admitted(Rights.GUEST)
HOUSE = AccessSettings(owners=["1"], allowed_senders=["2", "bot"], groups=["club"])


def somebody(
    sender: str,
    chat_type: ChatType = ChatType.DIRECT,
    *,
    chat: str = "club",
    addressed: bool = True,
    machine: bool = False,
) -> Who:
    who = Sender(sender, "boss", Rights.OWNER, machine=machine)
    return Who(Address("test", "account", chat), who, chat_type, addressed)


@pytest.mark.parametrize(
    ("mode", "sender", "paired", "verdict"),
    [
        ("pairing", "1", None, OWNER),
        ("pairing", "2", None, GUEST),
        ("pairing", "3", None, Stranger()),
        ("pairing", "3", Rights.GUEST, GUEST),
        ("pairing", "3", Rights.OWNER, OWNER),
        ("pairing", "2", Rights.OWNER, OWNER),
        ("allowlist", "1", None, OWNER),
        ("allowlist", "2", None, GUEST),
        ("allowlist", "3", None, Ignored(Code.NOT_LISTED)),
        ("allowlist", "3", Rights.GUEST, GUEST),
        ("open", "1", None, OWNER),
        ("open", "3", None, GUEST),
        ("open", "3", Rights.OWNER, OWNER),
    ],
)
def test_who_may_talk_in_a_direct_chat(
    mode: AccessMode, sender: str, paired: Rights | None, verdict: Verdict
) -> None:
    access = HOUSE.model_copy(update={"mode": mode})
    assert decide(access, somebody(sender, chat="own"), paired) == verdict


@pytest.mark.parametrize("chat_type", [ChatType.GROUP, ChatType.CHANNEL])
@pytest.mark.parametrize(
    ("sender", "paired", "verdict"),
    [
        ("1", None, OWNER),
        ("2", None, GUEST),
        ("3", Rights.GUEST, GUEST),
        ("3", None, Ignored(Code.PENDING_REQUIRED)),
    ],
)
def test_in_a_listed_group_only_people_whom_we_know_are_heard(
    chat_type: ChatType, sender: str, paired: Rights | None, verdict: Verdict
) -> None:
    assert decide(HOUSE, somebody(sender, chat_type), paired) == verdict


@pytest.mark.parametrize("sender", ["1", "2", "3"])
def test_nobody_is_heard_in_a_group_that_is_not_listed(sender: str) -> None:
    """Whatever he may do elsewhere."""
    for chat in ("another club", "club ", "CLUB", "clu"):
        who = somebody(sender, ChatType.GROUP, chat=chat)
        assert decide(HOUSE, who, Rights.OWNER) == Ignored(Code.GROUP_NOT_LISTED)


def test_in_a_group_the_assistant_is_spoken_to_by_name_unless_that_is_turned_off() -> None:
    aside = somebody("1", ChatType.GROUP, addressed=False)
    assert decide(HOUSE, aside, None) == Ignored(Code.NOT_ADDRESSED)
    chatty = HOUSE.model_copy(update={"require_mention": False})
    assert decide(chatty, aside, None) == OWNER
    assert decide(HOUSE, somebody("1", addressed=False), None) == OWNER, "nobody else is there"


@pytest.mark.parametrize("name", ["2 ", "@2", "02", "٢", "2\u200b", "BOT", "boss"])
def test_nobody_is_somebody_else_for_looking_like_him(name: str) -> None:
    assert decide(HOUSE, somebody(name), None) in (Stranger(), Ignored(Code.INVALID_IDENTITY))


@pytest.mark.parametrize(
    "name",
    ["", " ", "\u200b", "a\nb", "a\x00b", "a\u202eb", "a\ud800", "x" * 257, " 1", "1 ", "1\u2028"],
)
@pytest.mark.parametrize("mode", ["pairing", "allowlist", "open"])
def test_an_identity_that_nobody_can_have_lets_nobody_in(name: str, mode: AccessMode) -> None:
    """Not even where somebody managed to list it."""
    access = AccessSettings(mode=mode, owners=[name], allowed_senders=[name])
    assert decide(access, somebody(name), Rights.OWNER) == Ignored(Code.INVALID_IDENTITY)


def test_whoever_comes_from_nowhere_is_ignored() -> None:
    for address in (
        Address("test", "account", ""),
        Address("", "account", "own"),
        Address("test", "account", "a\x00b"),
        Address("test", "account", "x" * 600),
    ):
        who = Who(address, Sender("1", "", Rights.OWNER), ChatType.DIRECT)
        assert decide(HOUSE, who, Rights.OWNER) == Ignored(Code.INVALID_IDENTITY)


def test_a_kind_of_chat_that_nobody_knows_is_closed() -> None:
    for unknown in ("", "supergroup", None):
        who = somebody("1", cast(ChatType, unknown))
        assert decide(HOUSE, who, Rights.OWNER) == Ignored(Code.INVALID_IDENTITY)


@pytest.mark.parametrize(
    ("sender", "paired", "verdict"),
    [
        ("bot", None, GUEST),
        ("other bot", None, Ignored(Code.MACHINE)),
        ("other bot", Rights.OWNER, Ignored(Code.MACHINE)),
    ],
)
def test_programs_are_heard_only_if_their_ids_are_listed(
    sender: str, paired: Rights | None, verdict: Verdict
) -> None:
    for mode in ("pairing", "allowlist", "open"):
        access = HOUSE.model_copy(update={"mode": mode})
        assert decide(access, somebody(sender, machine=True), paired) == verdict


def test_without_any_setting_everybody_is_a_stranger_and_no_group_is_heard() -> None:
    assert decide(AccessSettings(), somebody("1"), None) == Stranger()
    group = somebody("1", ChatType.GROUP)
    assert decide(AccessSettings(), group, Rights.OWNER) == Ignored(Code.GROUP_NOT_LISTED)
    nobody = AccessSettings(mode="allowlist")
    assert decide(nobody, somebody("1"), None) == Ignored(Code.NOT_LISTED)
