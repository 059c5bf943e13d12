"""Who is who, as the operator says."""

from __future__ import annotations

import pytest

from opencraw.sessions.identity import Links
from opencraw.sessions.settings import SessionsSettings

LINKS = Links({"anna": ["telegram:123", "discord:987"], "otto": ["matrix:@otto:example.org"]})


def test_a_person_is_known_by_every_id() -> None:
    assert LINKS.name("telegram", "123") == LINKS.name("discord", "987") == "anna"
    assert LINKS.of("discord", "987") == (("discord", "987"), ("telegram", "123"))


def test_the_id_of_a_sender_may_have_colons() -> None:
    assert LINKS.name("matrix", "@otto:example.org") == "otto"


@pytest.mark.parametrize("person", [("telegram", "987"), ("discord", "123"), ("", ""), ("x", "y")])
def test_nobody_else_is_joined_with_anybody(person: tuple[str, str]) -> None:
    assert LINKS.name(*person) is None
    assert LINKS.of(*person) == (person,)


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ({"anna": ["telegram:1", "telegram:1"]}, '"telegram:1" is there twice'),
        ({"anna": ["telegram:1"], "otto": ["telegram:1"]}, '"telegram:1" is there twice'),
        ({"anna": ["telegram"]}, "write the channel, a colon and the sender's id"),
        ({"anna": [":1"]}, "write the channel, a colon and the sender's id"),
        ({"anna": ["telegram:"]}, "write the channel, a colon and the sender's id"),
    ],
)
def test_links_that_cannot_be_meant_are_refused(links: dict[str, list[str]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SessionsSettings(identity_links=links)
