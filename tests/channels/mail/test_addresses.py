from __future__ import annotations

import pytest

from channels.mail.addresses import normalised, writer
from channels.mail.headers import read_headers


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        ("a.b+tag@example.org", "a.b+tag@example.org"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@BU\u0308CHER.example", "alice@xn--bcher-kva.example"),
        # The Kelvin sign is no k, and this is another mailbox.
        ("mi\u212ae@example.org", "mi\u212ae@example.org"),
    ],
)
def test_spellings_of_one_mailbox_are_one_id_and_no_others(written: str, known: str) -> None:
    assert normalised(written) == known


@pytest.mark.parametrize(
    "written",
    [
        "", "alice", "@example.org", "alice@", "alice@@example.org", "a b@example.org",
        "alice@example.org\r\nBcc: eve@evil.test", "alice@-bad.test", "alice@example..org",
        '"alice@example.org"@evil.test x', '"alice@example.org"@evil.test',
        "x" * 300 + "@example.org", "alice@" + "a." * 200,
    ],
)  # fmt: skip
def test_what_is_no_address_has_no_id(written: str) -> None:
    assert normalised(written) is None


@pytest.mark.parametrize(
    "domain", ["stra\u00dfe.example", "\uff4fwner.example", "owner\u3002example"]
)
def test_a_domain_that_others_write_in_another_way_has_no_id(domain: str) -> None:
    """Name servers know it under one name, old rules under another, and two people have them."""
    assert normalised(f"alice@{domain}") is None


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "From: alice@example.org\r\nFrom: eve@evil.test\r\n",
        "From: alice@example.org, eve@evil.test\r\n",
        "From: friends: alice@example.org;\r\n",
        "From: Alice\r\n",
        "From: <>\r\n",
        # A name that would begin a header of its own.
        "From: =?utf-8?q?A=0D=0ABcc:_eve?= <alice@example.org>\r\n",
        "From: " + "(" * 1_500 + "\r\n",
        "From: " + "a" * 5_000 + " <alice@example.org>\r\n",
    ],
)
def test_a_mail_is_from_one_mailbox_or_from_nobody(lines: str) -> None:
    assert writer(read_headers(lines.encode())) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Alice Smith <alice@example.org>", "Alice Smith"),
        ('"Smith, Alice" <alice@example.org>', "Smith, Alice"),
        ("=?utf-8?q?=C3=84lice?= <alice@example.org>", "Älice"),
        ('"bob@bank.test" <alice@example.org>', "bob@bank.test"),
        # A name that would run backwards.
        ("=?utf-8?b?4oCuZ25w?= <alice@example.org>", "gnp"),
        ("=?nonsense?q?x?= <alice@example.org>", "x"),
    ],
)
def test_a_name_decorates_and_is_made_harmless(value: str, name: str) -> None:
    person = writer(read_headers(f"From: {value}\r\n".encode()))
    assert person is not None
    assert person.id == "alice@example.org"
    assert person.name == name
