"""The channel and Google, on the days on which Google is difficult."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import SecretStr, ValidationError

from channels.gmail.api import Gmail as Api
from channels.gmail.api import Lost
from channels.gmail.channel import Gmail
from channels.gmail.settings import GmailSettings
from opencraw.contract import Address, Attachment, Delivery, Line
from opencraw.errors import AccountRefused, NotFound, OpenCrawError, Refused, SlowDown, Unavailable
from tests.channels.gmail.platform import ADDRESS, GmailPlatform
from tests.channels.house import House
from tests.channels.platform import File
from tests.fakes.gmail import ACCESS, REFRESH, GmailError
from tests.fixtures.core import until

_PROFILE = "gmail.users.getProfile"


def settings(platform: GmailPlatform, **more: object) -> GmailSettings:
    access = {"client_secret": SecretStr("secret"), "refresh_token": SecretStr(REFRESH)}
    return GmailSettings.model_validate({**platform.settings(), **access, **more})


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (429, "rateLimitExceeded", SlowDown),
        (403, "userRateLimitExceeded", SlowDown),
        (403, "insufficientPermissions", AccountRefused),
        (403, "accessNotConfigured", AccountRefused),
        (404, "notFound", NotFound),
        (400, "invalidArgument", Refused),
        (500, "backendError", Unavailable),
        (503, "backendError", Unavailable),
    ],
)
async def test_an_error_says_what_follows_from_it(
    platform: GmailPlatform, status: int, reason: str, kind: type[OpenCrawError]
) -> None:
    platform.server.faults.append((_PROFILE, GmailError(status, reason, retry_after="7")))
    with pytest.raises(kind) as raised:
        await Api(settings(platform)).profile()
    assert type(raised.value) is kind
    assert getattr(raised.value, "retry_after", 7) in (7, 1)
    assert platform.server.calls == [_PROFILE], "nothing is repeated behind our back"


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("7", 7), ("0", 1), ("-5", 1), ("inf", 3600), ("nan", 30), ("1e300", 3600), ("soon", 30)],
)
async def test_a_pause_that_google_asks_for_has_an_end(
    platform: GmailPlatform, wish: str, seconds: float
) -> None:
    platform.server.faults.append((_PROFILE, GmailError(429, "rateLimitExceeded", "", wish)))
    with pytest.raises(SlowDown) as raised:
        await Api(settings(platform)).profile()
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("call", [_PROFILE, "gmail.users.history.list"])
async def test_a_pause_that_google_asks_for_is_kept_and_told(
    platform: GmailPlatform, house: House, call: str
) -> None:
    error = GmailError(429, "rateLimitExceeded", "", "300")
    platform.server.faults.append((call, error))
    await house.open()
    await house.becomes("failed")
    assert platform.server.calls[-1] == call
    channel = await house.channel()
    assert "429" in str(channel["detail"])
    assert "in 300 s" in str(channel["detail"])


async def test_one_mail_that_comes_twice_is_heard_once(
    platform: GmailPlatform, house: House
) -> None:
    """Whoever got a copy may bring it again, and Google gives each of them an id of its own."""
    await house.open()
    key = await platform.says("[[say Once.]]")
    await house.sees("Once.")
    again = platform.server.mails[0].data
    assert key.encode() in again
    await platform.arrives(b"Received: from elsewhere\r\n" + again)
    await platform.says("[[say And now.]]")
    await house.sees("And now.")
    await house.at_rest()
    assert len(platform.shown()) == 2


async def test_an_answer_in_another_shape_does_not_end_the_channel(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    mail = platform.mail("[[say Never.]]", "a@example.org", "<odd@example.org>")
    [stored] = await platform.arrives(mail.as_bytes())
    platform.server.odd.add(stored.id)
    await platform.says("[[say Still here.]]")
    await house.sees("Still here.")
    assert await house.count("quarantined WHERE channel = 'gmail'") == 1


async def test_an_answer_that_is_lost_is_told_from_one_that_was_never_asked_for(
    platform: GmailPlatform,
) -> None:
    api = Api(settings(platform))
    platform.server.faults.append((_PROFILE, None))
    with pytest.raises(Lost):
        await api.profile()
    elsewhere = Api(settings(platform, api_url="http://127.0.0.1:1"))
    with pytest.raises(Unavailable) as raised:
        await elsewhere.profile()
    assert not isinstance(raised.value, Lost)


async def test_an_access_token_alone_is_good_until_its_hour_is_over(
    platform: GmailPlatform,
) -> None:
    api = Api(settings(platform, client_id="", refresh_token=None, access_token=SecretStr(ACCESS)))
    assert (await api.profile()).email_address == ADDRESS
    platform.server.revoked = True
    with pytest.raises(AccountRefused, match="channel-gmail"):
        await api.profile()


async def test_access_that_was_taken_back_is_for_an_operator(platform: GmailPlatform) -> None:
    platform.server.revoked = True
    with pytest.raises(AccountRefused, match="revoked"):
        await Gmail(settings(platform)).probe()


async def test_a_call_that_nobody_waits_for_leaves_no_thread(platform: GmailPlatform) -> None:
    api = Api(settings(platform))
    await api.profile()
    before = threading.active_count()
    platform.server.silent = True
    calls = [asyncio.create_task(api.profile()) for _ in range(20)]
    await until(lambda: threading.active_count() > before)
    assert threading.active_count() <= before + 4
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await platform.reconnect()
    await until(lambda: threading.active_count() <= before, "no thread is left")
    assert (await api.profile()).email_address == ADDRESS


async def test_the_loop_goes_on_while_google_thinks(platform: GmailPlatform) -> None:
    platform.server.silent = True
    api = Api(settings(platform))
    call = asyncio.create_task(api.profile())
    ticks = 0
    async with asyncio.timeout(10):
        while ticks < 50:
            await asyncio.sleep(0)
            ticks += 1
    assert not call.done()
    await platform.reconnect()
    await call


async def test_history_that_is_forgotten_costs_no_mail_and_no_answer(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Once.]]")
    await house.sees("Once.")
    await house.close()
    for number in range(9):
        await platform.says(f"[[say Meanwhile {number}.]]")
    platform.server.forget()
    await house.open()
    await house.sees("Once.", *(f"Meanwhile {number}." for number in range(9)))
    await house.at_rest()
    assert len(platform.shown()) == 10


async def test_an_answer_is_in_the_thread_and_the_mail_is_marked_as_read(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Hello.]]")
    await house.sees("Hello.")
    question, answer = platform.server.mails
    assert answer.thread == question.thread
    assert answer.message["In-Reply-To"] == question.message["Message-ID"]
    assert answer.message["Subject"] == "Re: A question"
    await until(lambda: "UNREAD" not in question.labels)


async def test_what_answers_no_mail_is_put_into_no_thread(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Hello.]]")
    await house.sees("Hello.")
    await platform.says("Let me in.", chat="guest-1")
    await house.sees("Somebody asks to be let in")
    await house.at_rest()
    assert platform.server.problems == []


async def test_a_name_that_looks_like_an_owner_is_only_a_name(
    platform: GmailPlatform, house: House
) -> None:
    """Google hands out decoded headers first, in which this name ends where an address begins."""
    await house.open()
    forged = platform.mail("[[say Secrets.]]", "mallory@example.org", "<m@example.org>")
    data = forged.as_bytes().replace(
        b"From: Somebody <mallory@example.org>",
        b"From: =?utf-8?q?A_=3Ca=40example=2Eorg=3E?= <mallory@example.org>",
    )
    assert b"=3Ca=40" in data
    [stored] = await platform.arrives(data)
    platform.server.decoded[stored.id] = {"From": "A <a@example.org>"}
    await platform.says("[[say Real.]]")
    await house.sees("Real.")
    await house.at_rest()
    assert await house.count("inbox") == 1


async def test_a_file_is_fetched_from_its_mail(platform: GmailPlatform, house: House) -> None:
    await house.open()
    await platform.says("[[say Thanks.]]", file=File("a.csv", "text/csv", b"a;b\r\n" * 50))
    await house.sees("Thanks.")
    [row] = await house.database.fetch("SELECT name, content_type, source, size FROM attachment")
    channel = Gmail(settings(platform))
    claim = Attachment(row["name"], row["content_type"], row["source"], row["size"])
    assert await channel.fetch(claim, 1_000) == b"a;b\r\n" * 50
    assert platform.server.calls[-1] == "gmail.users.messages.attachments.get"
    with pytest.raises(Refused, match="more than"):
        await channel.fetch(claim, 10)
    platform.server.mails.clear()
    with pytest.raises(NotFound):
        await channel.fetch(claim, 1_000)


async def test_of_a_large_mail_each_file_is_had_alone_and_is_the_right_one(
    platform: GmailPlatform, house: House
) -> None:
    await house.open(attachments={"max_per_message": 10})
    mail = platform.mail("[[say Ten.]]", platform.person("a"), "<ten@example.org>")
    mail.add_alternative("<p>[[say Ten.]]</p>", subtype="html")
    files = {f"{number}.csv": f"{number};".encode() * 50_000 for number in range(10)}
    for name, data in files.items():
        mail.add_attachment(data, maintype="text", subtype="csv", filename=name)
    await platform.arrives(mail.as_bytes())
    await house.sees("Ten.")
    rows = await house.database.fetch("SELECT name, content_type, source, size FROM attachment")
    claims = [Attachment(each[0], each[1], each[2], each[3]) for each in rows]
    channel, before = Gmail(settings(platform)), platform.server.weight
    assert {each.name: await channel.fetch(each, 1_000_000) for each in claims} == files
    assert platform.server.weight - before < 2 * sum(map(len, files.values()))
    platform.server.weight = 0
    with pytest.raises(Refused, match="more than"):
        await channel.fetch(claims[0], 50_000)
    assert platform.server.weight < 10_000, "its size is known beforehand"


async def test_a_file_that_google_counts_otherwise_is_found_in_the_whole_mail(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    mail = platform.mail("[[say Thanks.]]", platform.person("a"), "<odd@example.org>")
    mail.add_attachment(b"a;b\r\n", maintype="text", subtype="csv", filename="a.csv")
    mail.add_attachment(b"c;d\r\n", maintype="text", subtype="csv", filename="c.csv")
    mail.add_attachment(b"{}", maintype="application", subtype="json", filename="b.json")
    [stored] = await platform.arrives(mail.as_bytes())
    platform.server.twisted.add(stored.id)
    await house.sees("Thanks.")
    rows = await house.database.fetch("SELECT name, content_type, source, size FROM attachment")
    claims = [Attachment(each[0], each[1], each[2], each[3]) for each in rows]
    channel = Gmail(settings(platform))
    fetched = {each.name: await channel.fetch(each, 1_000) for each in claims}
    assert fetched == {"a.csv": b"a;b\r\n", "b.json": b"{}", "c.csv": b"c;d\r\n"}


async def test_access_to_another_mailbox_is_for_an_operator(
    platform: GmailPlatform, house: House
) -> None:
    await house.open(address="somebody@gmail.test")
    await house.becomes("refused")
    detail = str((await house.channel())["detail"])
    assert f'channels.gmail.address = "{ADDRESS}"' in detail
    assert "history" not in "".join(platform.server.calls)


async def test_a_connection_is_kept_and_one_that_google_has_closed_is_not_used(
    platform: GmailPlatform,
) -> None:
    api = Api(settings(platform))
    await api.profile()
    await api.profile()
    assert len(platform.server.callers) == 1
    await platform.server.hang_up()
    await api.profile()
    assert len(platform.server.callers) == 2


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"address": ADDRESS, "client_id": "x"}, "needs client_secret, refresh_token"),
        ({"access_token": SecretStr(ACCESS)}, "needs address before"),
        ({"address": "bot", "access_token": SecretStr(ACCESS)}, "address must be one"),
    ],
)
def test_access_must_be_complete_before_the_channel_is_enabled(
    given: dict[str, object], missing: str
) -> None:
    with pytest.raises(ValidationError, match=missing):
        GmailSettings.model_validate({"enabled": True, **given})


async def test_what_may_have_arrived_is_looked_for_and_never_marked(
    platform: GmailPlatform,
) -> None:
    one, told = UUID(int=5), list[str]()
    line = Line(1, "reply", "Hello.", datetime.now(UTC), one)
    to = Address("gmail", ADDRESS, platform.person("a"), "thread7")

    async def sent(platform_id: str) -> None:
        told.append(platform_id)

    channel = Gmail(settings(platform))
    for _ in range(2):
        await channel.send(Delivery(one, to, line, recovered=True), sent)
    assert [each.strip() for each in platform.shown("a")] == ["Hello."]
    assert told == [told[0]] * 2
