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
        "mx.lab.test.; dmarc=pass header.from=example.org",
        '"mx.lab.test" 1 ; dmarc=pass header.from=example.org; x-tls=pass smtp.version',
        # As Google, Microsoft and Fastmail write.
        (
            "mx.lab.test; dkim=pass header.i=@example.org header.s=s1 header.b=Ab/+c=; spf=pass "
            "(mx: domain of a@example.org designates 192.0.2.1 as permitted sender) "
            'smtp.mailfrom="bounce+a=b@example.org"'
        ),
        (
            "mx.lab.test; spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.org; dkim=pass "
            "(signature was verified) header.d=example.org;dmarc=bestguesspass action=none "
            "header.from=example.org;compauth=pass reason=109"
        ),
        (
            "mx.lab.test; dkim=pass (2048-bit rsa key sha256) header.d=example.org x-bits=2048; "
            "dmarc=pass policy.applied-disposition=none (p=none) header.from=example.org; "
            "spf=fail smtp.mailfrom=list.test smtp.helo=list.test; x-sender=pass"
        ),
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
        # A domain's own policy has the last word on it, and there is one last word.
        (
            "mx.lab.test; dmarc=fail header.from=example.org; spf=pass smtp.mailfrom=example.org; "
            "dkim=pass header.d=example.org"
        ),
        (
            "mx.lab.test; dmarc=temperror; spf=pass smtp.mailfrom=example.org; "
            "dkim=pass header.d=example.org"
        ),
        "mx.lab.test; dmarc=pass header.from=example.org; dmarc=fail header.from=example.org",
        "mx.lab.test; dmarc=pass header.from=evil.test header.from=example.org",
    ],
)
def test_nothing_else_is(value: str) -> None:
    if value.endswith(" "):
        # What is too long to be looked at is nobody's word.
        value += "x"
    assert reason(value) is not None


_EVIL = '"x@example.org"@evil.test'


@pytest.mark.parametrize(
    "said",
    [
        # In quotes anything may stand before an @, and the domain is what follows them.
        f"spf=pass smtp.mailfrom={_EVIL}; dkim=pass header.d=evil.test header.i={_EVIL}",
        f"spf=pass smtp.mailfrom={_EVIL}; dkim=pass header.i={_EVIL}",
        f"spf=pass smtp.mailfrom={_EVIL}; dkim=pass header.d=example.org",
        f"spf=pass smtp.mailfrom=example.org; dkim=pass header.i={_EVIL}",
        f"dmarc=pass header.from={_EVIL}",
        r'spf=pass smtp.mailfrom="\"x@example.org\"@evil.test"; dkim=pass header.d=example.org',
        'spf=pass smtp.mailfrom="x@example.org"(c)@evil.test; dkim=pass header.d=example.org',
        'spf=pass smtp.mailfrom="@example.org" @evil.test; dkim=pass header.d=example.org',
        'spf=pass smtp.mailfrom="y@evil.test x@example.org"; dkim=pass header.d=example.org',
        # The same by a server that leaves the quotes away.
        "spf=pass smtp.mailfrom=x@example.org y@evil.test; dkim=pass header.d=example.org",
        "spf=pass smtp.mailfrom=y@evil.test@example.org; dkim=pass header.d=example.org",
        # What signs chooses what stands before the @, whoever's key it is.
        "spf=pass smtp.mailfrom=example.org; dkim=pass header.d=evil.test header.i=@example.org",
        "spf=pass smtp.mailfrom=example.org; dkim=pass header.i=x@example.org",
        "spf=pass smtp.mailfrom=a;dmarc=pass header.from=example.org;@evil.test",
        "spf=pass smtp.mailfrom=a;dmarc=pass header.from=example.org;@evil.test; dmarc=fail",
        "spf=fail smtp.mailfrom=a;dmarc=pass header.from=example.org;x=y@evil.test",
        # A comment with somebody's address in it, as it came.
        'spf=pass (of "a); dmarc=pass header.from=example.org; (b"@evil.test) smtp.helo=x',
        'spf=pass (of b"c@evil.test); dmarc=pass header.from=example.org; x=y (")',
        # What takes a border away takes the verdict behind it away.
        r"dmarc=pass header.from=example.org; spf=pass smtp.helo=evil\; dmarc=fail",
        'dmarc=pass header.from=example.org; spf=pass smtp.helo="evil; dmarc=fail',
        "dmarc=pass header.from=example.org; spf=pass (; dmarc=fail header.from=example.org",
        "dmarc=pass header.from=example.org) ; spf=pass",
        'dmarc=pass header.from=example.org; spf=pass (a"b) smtp.helo=c; dmarc=fail (d"e)',
        'dmarc=pass header.from=example.org; x=pass said=a"',
        "dmarc=pass header.from=example.org; dmarc==fail",
    ],
)
def test_what_a_stranger_chose_is_never_taken_for_our_servers_word(said: str) -> None:
    assert reason(f"mx.lab.test; {said}") is not None


@pytest.mark.parametrize(
    "topmost",
    [
        "mx.lab.test; dmarc=fail; " + "; ".join(["dkim=fail header.d=evil.test"] * 400),
        "mx.lab.test. ; dmarc=fail header.from=example.org",
        '"MX.lab.test."; dmarc=fail header.from=example.org',
        "mx.lab.test(c); dmarc=fail",
        # Names that nobody can read might be ours.
        "(by us) mx.lab.test; dmarc=fail",
        r'"mx.lab\.test"; dmarc=fail',
        "mx.lab.test; none",
        "mx.lab.test",
        'mx.lab.test; dmarc=fail "',
    ],
)
def test_what_is_below_our_servers_header_never_takes_its_place(topmost: str) -> None:
    assert reason(topmost, "mx.lab.test; dmarc=pass header.from=example.org") is not None


def test_only_the_topmost_header_of_our_server_counts() -> None:
    good = "mx.lab.test; dmarc=pass header.from=example.org"
    bad = "mx.lab.test; dmarc=fail header.from=example.org"
    assert reason(bad, good) is not None
    assert reason("other.test; dmarc=fail", good, bad) is None
    assert reason("other.test; dmarc=pass header.from=example.org") is not None


def test_without_the_name_of_our_server_nobody_is_believed() -> None:
    assert "authserv_id" in str(reason("; dmarc=pass header.from=example.org", authserv_id=""))


def test_a_reason_says_for_whom_something_passed() -> None:
    said = reason("mx.lab.test; dmarc=pass header.from=evil.test; dkim=pass header.d=other.test")
    assert "(dmarc=pass for evil.test, dkim=pass for other.test)" in str(said)
