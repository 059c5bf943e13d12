from __future__ import annotations

import pytest

from opencraw.control.credentials import SUPPORTED_SCOPES, Credential, Keyring


def credential(*scopes: str) -> Credential:
    return Credential("test", frozenset(scopes))


@pytest.mark.parametrize("needed", sorted(SUPPORTED_SCOPES))
def test_no_scopes_reach_nothing_and_all_scopes_reach_everything(needed: str) -> None:
    assert not credential().allows(needed)
    assert credential("*").allows(needed)
    assert credential(needed).allows(needed)


@pytest.mark.parametrize(
    ("held", "needed", "expected"),
    [
        ("sessions:write", "sessions:read", True),
        ("sessions:read", "sessions:write", False),
        ("sessions:write", "config:read", False),
        ("control:write", "sessions:write", True),
        ("control:write", "sessions:read", True),
        ("control:read", "sessions:read", True),
        ("control:read", "sessions:write", False),
        ("control:read", "control:write", False),
        ("sessions:write", "control:read", False),
        ("sessions:write", "*", False),
        ("control:write", "*", False),
    ],
)
def test_writing_implies_reading_and_nothing_else(held: str, needed: str, expected: bool) -> None:
    assert credential(held).allows(needed) is expected


@pytest.mark.parametrize("token", ["", "right ", "Right", "righ", "rightt", "ünïcode", "\udcff"])
def test_only_the_exact_token_is_found(token: str) -> None:
    keyring = Keyring([("left", credential()), ("right", credential("*"))])
    assert keyring.find(token) is None
    assert keyring.find("right") == credential("*")
