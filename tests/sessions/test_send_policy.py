from __future__ import annotations

import pytest
from pydantic import ValidationError

from opencraw.sessions.send_policy import Place, SendPolicy, SendRule

GROUP = Place("telegram", "group", ("default/main/telegram/bot/-100/",))
DIRECT = Place("webchat", "direct", ("default/main/webchat/local/main/",))


def rule(action: str, **where: str) -> SendRule:
    return SendRule.model_validate({"action": action, **where})


@pytest.mark.parametrize(
    ("where", "denied"),
    [
        ({}, True),
        ({"channel": "telegram"}, True),
        ({"channel": "webchat"}, False),
        ({"channel": "tele"}, False),
        ({"chat_type": "group"}, True),
        ({"chat_type": "channel"}, False),
        ({"session": "default/main/telegram/"}, True),
        ({"session": "default/main/telegram/bot/-100/"}, True),
        ({"session": "main/telegram"}, False),
        ({"session": "default/main/telegram/bot/-100/7"}, False),
        ({"channel": "telegram", "chat_type": "group", "session": "default/"}, True),
        ({"channel": "telegram", "chat_type": "direct"}, False),
        ({"channel": "webchat", "chat_type": "group"}, False),
        ({"chat_type": "group", "session": "other/"}, False),
    ],
)
def test_a_rule_holds_where_everything_is_so_that_it_names(
    where: dict[str, str], denied: bool
) -> None:
    policy = SendPolicy([rule("deny", **where)])
    assert (policy.denies(GROUP) is not None) is denied


@pytest.mark.parametrize("session", ["default/main/owners", "default/main/telegram/bot/7/"])
def test_a_rule_names_a_shared_conversation_or_one_of_its_addresses(session: str) -> None:
    keys = ("default/main/owners", "default/main/telegram/bot/7/")
    place = Place("telegram", "direct", keys)
    assert SendPolicy([rule("deny", session=session)]).denies(place) is not None
    assert SendPolicy([rule("allow", session=session)]).denies(place) is None
    elsewhere = Place("webchat", "direct", (keys[0], "default/main/webchat/local/main/"))
    denied = SendPolicy([rule("deny", session=session)]).denies(elsewhere) is not None
    assert denied is (session in elsewhere.keys)


def test_without_rules_everything_is_allowed() -> None:
    assert SendPolicy().denies(GROUP) is None
    assert not SendPolicy().denies_anything


@pytest.mark.parametrize("first", ["allow", "deny"])
def test_a_rule_that_denies_wins_wherever_it_stands(first: str) -> None:
    rules = [rule("allow", channel="telegram"), rule("deny", chat_type="group")]
    policy = SendPolicy(rules if first == "allow" else rules[::-1])
    assert policy.denies(GROUP) == '`deny chat_type = "group"`'
    assert policy.denies(DIRECT) is not None


def test_where_some_rules_allow_only_that_is_allowed() -> None:
    policy = SendPolicy([rule("allow", channel="telegram")])
    assert policy.denies_anything
    assert policy.denies(GROUP) is None
    assert policy.denies(DIRECT) == "no rule that allows it"


UNKNOWN = Place("webchat", None, ("default/main/webchat/local/main/",))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], None),
        ([rule("deny", chat_type="group", channel="telegram")], None),
        ([rule("deny", channel="telegram")], None),
        ([rule("allow", channel="webchat")], None),
        ([rule("allow", chat_type=each) for each in ("direct", "group", "channel")], None),
        ([rule("deny", channel="webchat")], '`deny channel = "webchat"`'),
        (
            [rule("deny", chat_type="group")],
            '`deny chat_type = "group"`, and who listens there is not known until somebody writes',
        ),
        (
            [rule("allow", chat_type="direct")],
            "no rule that allows it, and who listens there is not known until somebody writes",
        ),
    ],
)
def test_where_nobody_knows_who_listens_it_speaks_only_if_it_may_to_whoever_it_is(
    rules: list[SendRule], words: str | None
) -> None:
    assert SendPolicy(rules).denies(UNKNOWN) == words


def test_a_rule_is_quoted_as_its_operator_wrote_it() -> None:
    assert rule("deny").words == "deny everywhere"
    assert rule("deny", channel="x", session="a/").words == 'deny channel = "x", session = "a/"'


@pytest.mark.parametrize(
    "wrong", [{}, {"action": "forbid"}, {"action": "deny", "chat_type": "dm"},
              {"action": "deny", "chat": "x"}],
)  # fmt: skip
def test_a_rule_that_cannot_hold_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SendRule.model_validate(wrong)
