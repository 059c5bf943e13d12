"""The channel and a real Dovecot, on the days on which mail servers are difficult."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from channels.email.channel import Email, FolderCursor
from channels.email.mailbox import Mailbox
from channels.email.settings import EmailSettings
from channels.mail.tries import NotHandedOut
from opencraw.contract import Attachment
from opencraw.errors import AccountRefused, NotFound, OpenCrawError, Refused, Unavailable
from tests.channels.email.platform import EmailPlatform
from tests.channels.house import House, housed
from tests.channels.platform import File
from tests.fakes.dovecot import PASSWORD, Dovecot
from tests.fakes.line import Line
from tests.fixtures.core import until


def settings(port: int, **more: object) -> EmailSettings:
    return EmailSettings.model_validate(
        {
            "address": "bot@lab.test",
            "password": SecretStr(PASSWORD),
            "imap_host": "127.0.0.1",
            "imap_port": port,
            "imap_security": "none",
            **more,
        }
    )


_WELL = {
    "CAPABILITY": "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n",
    "SELECT": "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n{tag} OK done\r\n",
}


@asynccontextmanager
async def speaking(
    answers: Mapping[str, str], greeting: str = "* OK ready\r\n", heard: list[str] | None = None
) -> AsyncIterator[int]:
    """A server that answers single commands oddly, and hangs up where it has no answer; its port.
    Notes what it `heard`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting.encode())
        while line := await reader.readline():
            tag, command, *more = line.decode().split()
            command = more[0] if command == "UID" else command
            if heard is not None:
                heard.append(command)
            answer = {**_WELL, **answers}.get(command, "{tag} OK done\r\n")
            if not answer:
                break
            writer.write(answer.format(tag=tag).encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def dovecot() -> AsyncIterator[Dovecot]:
    async with Dovecot() as server:
        server.add("bot")
        yield server


async def test_a_wrong_password_is_for_an_operator(dovecot: Dovecot) -> None:
    dovecot.add("bot", "another")
    with pytest.raises(AccountRefused, match="PASSWORD"):
        async with Mailbox.open(settings(dovecot.imap)):
            pass


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[ALERT] Application-specific password required", AccountRefused),
        ("[UNAVAILABLE] Temporary authentication failure", Unavailable),
    ],
)
async def test_a_login_that_is_refused_for_now_is_told_from_one_that_an_operator_mends(
    said: str, kind: type[OpenCrawError]
) -> None:
    async with speaking({"LOGIN": f"{{tag}} NO {said}\r\n"}) as port:
        with pytest.raises(kind, match=said[-20:]):
            async with Mailbox.open(settings(port)):
                pass


def test_people_are_let_in_by_their_mailbox_however_it_is_spelled() -> None:
    access = {"owners": ["You@Example.ORG"], "allowed_senders": ["a@b\u00fccher.example"]}
    known = settings(993, access=access).access
    assert known.owners == ["you@example.org"]
    assert known.allowed_senders == ["a@xn--bcher-kva.example"]
    with pytest.raises(ValidationError, match="no e-mail address"):
        settings(993, access={"owners": ["you"]})


async def test_a_file_waits_while_the_password_is_wrong(dovecot: Dovecot) -> None:
    source = msgspec.json.encode(
        {"name": "INBOX", "validity": 1, "uid": 1, "part": "2", "encoding": "base64"}
    ).decode()
    dovecot.add("bot", "another")
    with pytest.raises(Unavailable, match="PASSWORD"):
        await Email(settings(dovecot.imap)).fetch(Attachment("a", "text/plain", source), 1_000)


async def test_a_folder_that_does_not_exist_is_for_an_operator(dovecot: Dovecot) -> None:
    with pytest.raises(AccountRefused, match="folder"):
        async with Mailbox.open(settings(dovecot.imap, folder='No "such" folder')):
            pass


async def test_a_certificate_that_nobody_signed_is_not_believed(dovecot: Dovecot) -> None:
    secure = {"imap_security": "tls", "imap_host": "localhost"}
    with pytest.raises(Unavailable, match="certificate"):
        async with Mailbox.open(settings(dovecot.imaps, **secure)):
            pass
    async with Mailbox.open(settings(dovecot.imaps, ca_file=dovecot.ca_file, **secure)) as mailbox:
        assert mailbox.newest == 0


async def test_a_server_that_is_not_there_is_away(dovecot: Dovecot) -> None:
    async with Line(dovecot.imap) as line:
        gone = line.port
    with pytest.raises(Unavailable):
        async with Mailbox.open(settings(gone)):
            pass


async def test_a_line_that_breaks_in_the_middle_is_noticed_at_once(dovecot: Dovecot) -> None:
    async with Line(dovecot.imap) as line:
        mailbox = Mailbox.open(settings(line.port))
        opened = await mailbox.__aenter__()
        line.break_all()
        with pytest.raises(Unavailable, match="closed"):
            await opened.wait(60)
        await mailbox.__aexit__(None, None, None)


async def test_a_line_that_is_gone_before_anybody_was_told_is_a_broken_one(
    dovecot: Dovecot,
) -> None:
    async with Mailbox.open(settings(dovecot.imap)) as mailbox:
        mailbox._client.protocol.transport.abort()
        with pytest.raises(ConnectionResetError, match="the connection broke"):
            mailbox._client.idle_done()


async def test_a_server_that_cannot_tell_is_asked(tmp_path: Path, database_url: str) -> None:
    platform = EmailPlatform()
    platform.dovecot = Dovecot(idle=False)
    platform.word = b"NOOP"
    async with platform, housed(platform, tmp_path, database_url) as house:
        await house.open()
        await platform.says("[[say You had to ask.]]")
        await house.sees("You had to ask.")


@pytest.mark.parametrize(
    "answer",
    [
        "* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n{tag} OK done\r\n",
        "{tag} NO [SERVERBUG] Internal error\r\n",
        "{tag} NO [THROTTLED] Later\r\n",
        "* nonsense {{(\r\n{tag} BAD\r\n",
        "",
    ],
)
async def test_one_mail_that_is_not_handed_out_is_told_from_a_server_that_is_away(
    answer: str,
) -> None:
    async with speaking({"FETCH": answer}) as port, Mailbox.open(settings(port)) as mailbox:
        with pytest.raises(NotHandedOut) as caught:
            await mailbox.top(1)
    assert caught.value.passes == ("THROTTLED" in answer)


async def test_a_line_can_become_secret_after_its_first_words(dovecot: Dovecot) -> None:
    secret = {"imap_security": "starttls", "imap_host": "localhost"}
    with pytest.raises(Unavailable, match="certificate"):
        async with Mailbox.open(settings(dovecot.imap, **secret)):
            pass
    async with Mailbox.open(settings(dovecot.imap, ca_file=dovecot.ca_file, **secret)) as mailbox:
        assert mailbox.newest == 0


@pytest.mark.parametrize(
    ("greeting", "answer", "kind", "why"),
    [
        ("* OK ready\r\n", "{tag} BAD what?\r\n", AccountRefused, "does not offer STARTTLS"),
        ("* PREAUTH hello\r\n", "{tag} OK begin\r\n", Unavailable, "does not greet us"),
        ("* OK ready\r\n", "{tag} OK begin\r\n* CAPABILITY X\r\n", Unavailable, "somebody speaks"),
        ("* OK ready\r\n", "", Unavailable, "closed"),
        ("* OK ready\r\n", "* x\r\n" * 9_000, Unavailable, "makes no sense"),
    ],
)
async def test_nothing_is_said_on_a_line_that_is_not_secret(
    greeting: str, answer: str, kind: type[OpenCrawError], why: str
) -> None:
    heard: list[str] = []
    async with speaking({"STARTTLS": answer}, greeting, heard) as port:
        with pytest.raises(kind, match=why):
            async with Mailbox.open(settings(port, imap_security="starttls")):
                pass
    assert heard in ([], ["STARTTLS"])


async def test_new_numbers_for_all_mails_cost_no_answer_and_no_mail(
    platform: EmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Once.]]")
    await house.sees("Once.")
    await house.at_rest()
    first = await noted(house)
    await house.close()
    await platform.says("[[say Meanwhile.]]")
    platform.dovecot.number_anew(platform.address)
    await house.open()
    await platform.says("[[say After.]]")
    await house.sees("Once.", "Meanwhile.", "After.")
    await house.at_rest()
    assert len(platform.shown()) == 3
    again = await noted(house)
    assert again.validity != first.validity
    assert again.begun == first.begun, "older mail is nobody's business, under new numbers as well"


async def noted(house: House) -> FolderCursor:
    """How far the channel has come."""
    [row] = await house.database.fetch("SELECT value FROM cursor_position WHERE channel = 'email'")
    cursor = FolderCursor.read(row["value"])
    assert cursor is not None
    return cursor


async def test_mail_from_before_the_first_look_is_nobodys_business(
    platform: EmailPlatform, house: House
) -> None:
    old = platform.mail("[[say Old.]]", "a@example.org", "<old@example.org>").as_bytes()
    platform.dovecot.put(platform.address, old)
    await house.open()
    await platform.says("[[say New.]]")
    await house.sees("New.")
    await house.at_rest()
    assert len(platform.shown()) == 1
    assert "\\Seen" not in platform.dovecot.flags(platform.address)[0]
    assert "\\Seen" in platform.dovecot.flags(platform.address)[1]


@pytest.mark.parametrize(
    "header",
    [
        "dmarc=fail header.from=example.org",
        "dmarc=pass header.from=evil.test",
        "",
    ],
)
async def test_a_forged_owner_is_nobody(
    platform: EmailPlatform, house: House, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await house.open()
    forged = platform.mail("[[say Your secrets.]]", platform.person("a"), "<forged@evil.test>")
    del forged["Authentication-Results"]
    if header:
        forged["Authentication-Results"] = f"mx.lab.test; {header}"
    forged["X-Authentication-Results"] = "mx.lab.test; dmarc=pass header.from=example.org"
    await platform.arrives(forged.as_bytes())
    await platform.says("[[say Real.]]")
    await house.sees("Real.")
    await house.at_rest()
    assert len(platform.shown()) == 1
    assert await house.count("inbox") == 1
    # Not even a code: it would go to somebody who has not written.
    assert await house.count("pairing") == 0
    assert "mail from a@example.org is not answered: mx.lab.test" in caplog.text
    told = [each for each in caplog.records if "is not answered" in each.getMessage()]
    assert told[0].levelname == "WARNING", "`channels logs` shows it"
    assert "(forged 1 by now)" in told[0].getMessage()


async def test_a_stranger_costs_one_notice_and_no_body(
    platform: EmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Hello, owner.]]")
    await house.sees("Hello, owner.")
    platform.line.watched_for = b"BODY.PEEK[]"
    platform.line.passed.clear()
    mail = platform.mail("[[say Hello.]]", "mallory@example.org", "<m@example.org>")
    mail.replace_header("From", "mallory@example.org")
    await platform.arrives_unseen(mail.as_bytes())
    await until(lambda: platform.shown("mallory"), "one notice")
    assert not platform.line.passed.is_set()
    assert await house.count("inbox") == 1
    # An address is no name: whoever has none is told by the id alone.
    nameless = "sender_id = 'mallory@example.org' AND sender_name = ''"
    assert await house.count(f"pairing WHERE {nameless}") == 1


async def test_a_file_is_fetched_from_where_it_lies(platform: EmailPlatform, house: House) -> None:
    await house.open()
    await platform.says("[[say Thanks.]]", file=File("a.csv", "text/csv", b"a;b\r\n" * 500))
    await house.sees("Thanks.")
    [row] = await house.database.fetch("SELECT name, content_type, source, size FROM attachment")
    channel = Email(
        EmailSettings.model_validate({**platform.settings(), "password": SecretStr(PASSWORD)})
    )
    claim = Attachment(row["name"], row["content_type"], row["source"], row["size"])
    assert (await channel.probe())["newest mail"] == "1"
    assert await channel.fetch(claim, 10_000) == b"a;b\r\n" * 500
    with pytest.raises(Refused, match="more than"):
        await channel.fetch(claim, 100)
    platform.dovecot.number_anew(platform.address)
    with pytest.raises(NotFound):
        await channel.fetch(claim, 10_000)
    with pytest.raises(NotFound):
        await channel.fetch(Attachment("x", "y", "z"), 10_000)


async def test_a_mail_that_is_too_large_is_said_to_be(
    platform: EmailPlatform, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.mail.arriving.LARGEST", 10_000)
    await house.open()
    await platform.says("[[say Never.]]" + " long" * 5_000)
    await house.sees("could not be read")
    assert await house.count("turn") == 0
