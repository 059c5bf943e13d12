from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from channels.email.settings import EmailSettings
from channels.email.submission import submit
from channels.mail.composing import Outgoing
from opencraw.errors import DeliveryFailure, MaybeSent, NeverSendable, NotSent
from tests.fakes.dovecot import make_certificate
from tests.fakes.smtp_sink import SmtpSink

MAIL = Outgoing("<1@lab.test>", "alice@example.org", b"Subject: x\r\n\r\nHello\r\n.\r\nBye\r\n")


def settings(sink: SmtpSink, **more: object) -> EmailSettings:
    return EmailSettings.model_validate(
        {
            "address": "bot@lab.test",
            "password": SecretStr("right"),
            "smtp_host": "localhost",
            "smtp_port": sink.port,
            "smtp_security": "none",
            "retry_seconds": 7,
            **more,
        }
    )


async def failure(sink: SmtpSink, mail: Outgoing = MAIL, **more: object) -> DeliveryFailure:
    with pytest.raises(DeliveryFailure) as raised:
        await submit(settings(sink, **more), mail)
    return raised.value


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with SmtpSink(password="right") as sink:
        await submit(settings(sink), MAIL)
    [taken] = sink.taken
    assert (taken.mail_from, taken.rcpt_tos) == ("bot@lab.test", ["alice@example.org"])
    assert taken.content == MAIL.data


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
async def test_a_server_that_wants_the_mail_later_gets_it_later(step: str) -> None:
    async with SmtpSink() as sink:
        sink.says = {step: "451 4.7.1 Greylisted"}
        refused = await failure(sink)
    assert isinstance(refused, NotSent)
    assert refused.retry_after == 7
    assert "Greylisted" in str(refused)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("451 4.3.0 Later", NotSent),
        ("421 4.3.2 Going down", NotSent),
        ("552 5.3.4 Too large", NeverSendable),
        ("554 5.7.1 Spam", NeverSendable),
    ],
)
async def test_what_is_said_to_the_mail_itself_counts(
    answer: str, kind: type[DeliveryFailure]
) -> None:
    async with SmtpSink() as sink:
        sink.answer = lambda _: answer
        assert isinstance(await failure(sink), kind)


async def test_a_reader_whom_the_server_does_not_know_is_no_reason_to_try_again() -> None:
    async with SmtpSink() as sink:
        sink.says = {"RCPT": "550 5.1.1 No such user"}
        assert isinstance(await failure(sink), NeverSendable)


async def test_a_line_that_breaks_after_the_mail_leaves_its_fate_open() -> None:
    async with SmtpSink() as sink:
        sink.answer = lambda _: "lost"
        assert isinstance(await failure(sink), MaybeSent)
    assert len(sink.taken) == 1


async def test_a_line_that_breaks_before_it_does_not() -> None:
    async with SmtpSink() as sink:
        sink.broken = True
        assert isinstance(await failure(sink), NotSent)


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    async with SmtpSink() as sink:
        gone = settings(sink)
    with pytest.raises(NotSent):
        await submit(gone, MAIL)


async def test_a_mail_that_is_too_large_is_not_begun() -> None:
    async with SmtpSink(most=1_000) as sink:
        large = Outgoing("<1@lab.test>", "alice@example.org", b"x" * 2_000)
        refused = await failure(sink, large)
    assert isinstance(refused, NeverSendable)
    assert "1000" in str(refused)


async def test_a_wrong_password_waits_for_an_operator() -> None:
    async with SmtpSink(password="another") as sink:
        refused = await failure(sink)
    assert isinstance(refused, NotSent)
    assert refused.retry_after is not None
    assert refused.retry_after >= 60
    assert "password" in str(refused)
    assert "right" not in str(refused)


async def test_without_the_tls_that_was_asked_for_nothing_is_said() -> None:
    async with SmtpSink() as sink:
        refused = await failure(sink, smtp_security="starttls")
    assert isinstance(refused, NotSent)
    assert sink.taken == []


async def test_a_certificate_that_nobody_signed_is_not_believed(tmp_path: Path) -> None:
    certificate = await asyncio.to_thread(make_certificate, tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    async with SmtpSink(tls=context, password="right") as sink:
        assert isinstance(await failure(sink, smtp_security="starttls"), NotSent)
        await submit(settings(sink, smtp_security="starttls", ca_file=str(certificate)), MAIL)
    assert len(sink.taken) == 1


@pytest.mark.parametrize("recipient", ["jörg@example.org"])
async def test_an_address_beyond_ascii_goes_where_it_is_understood(recipient: str) -> None:
    async with SmtpSink() as sink:
        await submit(settings(sink), Outgoing("<1@lab.test>", recipient, MAIL.data))
    assert sink.taken[0].rcpt_tos == [recipient]


@pytest.mark.parametrize(
    "more",
    [
        {"smtp_host": "mail.example.org", "smtp_security": "none"},
        {"imap_host": "10.0.0.7", "imap_security": "none"},
        {"enabled": True},
        {"enabled": True, "address": "bot", "password": "x", "imap_host": "a", "smtp_host": "b"},
    ],
)
def test_settings_that_would_give_a_password_away_or_lack_something_are_refused(
    more: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        EmailSettings.model_validate(more)
