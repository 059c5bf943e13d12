from __future__ import annotations

import pytest

from channels.mail.addresses import Person
from channels.mail.authentication import forged
from channels.mail.headers import read_headers

ALICE = Person("alice@example.org")


def reason(*values: str, authserv_id: str = "mx.lab.test") -> str | None:
    block = "".join(f"Authentication-Results: {value}\r\n" for value in values)
    return forged(read_headers(block.encode()), ALICE, authserv_id)


@pytest.mark.parametrize(
    "value",
    [
        "mx.lab.test; dmarc=pass header.from=example.org",
        "MX.lab.test 1; dmarc = pass (p=reject; sp=none) header.from=Example.ORG",
        "mx.lab.test;\r\n dkim=pass header.d=other.test;\r\n\tdmarc=pass header.from=example.org",
        'mx.lab.test; dmarc=pass reason="good; really" header.from="example.org"',
        "mx.lab.test; spf=pass smtp.mailfrom=bounce@example.org; dkim=pass header.d=example.org",
        "mx.lab.test; spf=pass smtp.mailfrom=example.org; dkim=pass header.i=@example.org",
        "mx.lab.test; dkim=none;dkim=pass header.d=example.org; spf=pass smtp.mailfrom=example.org",
    ],
)
def test_what_our_server_vouches_for_is_believed(value: str) -> None:
    assert reason(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "mx.lab.test; none",
        "mx.lab.test; dmarc=fail header.from=example.org",
        "mx.lab.test; dmarc=pass header.from=evil.test",
        "mx.lab.test; dmarc=pass",
        "mx.lab.test; dmarc=none header.from=example.org; x=pass",
        "mx.lab.test; dkim=pass header.d=example.org",
        "mx.lab.test; spf=pass smtp.mailfrom=example.org",
        "mx.lab.test; spf=pass smtp.mailfrom=evil.test; dkim=pass header.d=example.org",
        # One that is below the domain does not speak for all of it, nor does one that ends alike.
        "mx.lab.test; spf=pass smtp.mailfrom=a.example.org; dkim=pass header.d=a.example.org",
        "mx.lab.test; spf=pass smtp.mailfrom=badexample.org; dkim=pass header.d=badexample.org",
        "mx.lab.test; spf=pass smtp.mailfrom=org; dkim=pass header.d=org",
        # Comments and strings say nothing.
        "mx.lab.test; (dmarc=pass header.from=example.org) dmarc=fail",
        "mx.lab.test; dmarc=fail (; dmarc=pass header.from=example.org)",
        'mx.lab.test; dmarc=fail reason="; dmarc=pass header.from=example.org"',
        "mx.lab.test; dmarc=passed header.from=example.org",
        "mx.lab.test.evil.test; dmarc=pass header.from=example.org",
        "mx.lab.test; dmarc=pass header.from=example.org" + " " * 9_000,
        "mx.lab.test; " + '"' * 3_000,
    ],
)
def test_nothing_else_is(value: str) -> None:
    if value.endswith(" "):
        # What is too long to be looked at is nobody's word.
        value += "x"
    assert reason(value) is not None


def test_only_the_topmost_header_of_our_server_counts() -> None:
    good = "mx.lab.test; dmarc=pass header.from=example.org"
    bad = "mx.lab.test; dmarc=fail header.from=example.org"
    assert reason(bad, good) is not None
    assert reason("other.test; dmarc=fail", good, bad) is None
    assert reason("other.test; dmarc=pass header.from=example.org") is not None


def test_without_the_name_of_our_server_nobody_is_believed() -> None:
    assert "authserv_id" in str(reason("; dmarc=pass header.from=example.org", authserv_id=""))
