"""A mail that is not handed out stands in nobody's way for long, and no good one is given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from channels.mail.tries import PAUSES, NotHandedOut, Tries
from opencraw.contract import Address
from tests.fixtures.core import envelope
from tests.fixtures.gateway import Unasked

INBOX = "the folder INBOX"


class Aside(Unasked):
    """Notes what is put aside, and who is told."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.told: list[tuple[str, str]] = []

    async def quarantine(self, channel: str, account: str, payload: str, problem: str) -> None:
        self.mails.append(payload)

    async def tell(self, address: Address, text: str, *, reply_context: str = "") -> None:
        self.told.append((address.chat, text))


async def works() -> bool:
    return True


async def fails() -> bool:
    raise NotHandedOut("no")


async def is_busy() -> bool:
    raise NotHandedOut("[THROTTLED]", passes=True)


async def comes(mail: str) -> bool:
    return True


async def is_away(mail: str) -> bool:
    raise NotHandedOut("no")


def tries(owners: tuple[str, ...] = ("boss@x",)) -> Tries:
    tries = Tries("email", "bot@x", owners)
    tries.begin(INBOX, ())
    return tries


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between tries."""
    monkeypatch.setattr("channels.mail.tries.PAUSES", (0.0,) * len(PAUSES))
    monkeypatch.setattr("channels.mail.tries._BUSY_SECONDS", 0.0)


async def in_vain(
    it: Tries, aside: Aside, times: int, take_in: Callable[[], Awaitable[bool]] = fails
) -> None:
    """Ask for mail 1 so often, while another one comes."""
    for _ in range(times):
        await it.take(aside, "1", take_in)
        await it.take(aside, "2", works)


def test_the_tries_are_minutes_apart() -> None:
    assert sum(PAUSES) > 15 * 60


@pytest.mark.usefixtures("hasty")
async def test_a_mail_is_put_aside_once_others_came_at_each_try_and_an_owner_hears_of_it() -> None:
    it, aside = tries(), Aside()
    await in_vain(it, aside, len(PAUSES))
    assert (aside.mails, it.behind) == ([], ("1",))
    await in_vain(it, aside, 1)
    assert (aside.mails, it.behind) == ([f"mail 1 of {INBOX}"], ())
    [(chat, text)] = aside.told
    assert chat == "boss@x"
    assert f"mail 1 of {INBOX}" in text


@pytest.mark.usefixtures("hasty")
async def test_whoever_wrote_it_is_told_where_that_is_known() -> None:
    it, aside = tries(), Aside()

    async def body_fails() -> bool:
        failure = NotHandedOut("no")
        failure.knock = envelope("Hello", chat="ann@x")
        raise failure

    await in_vain(it, aside, len(PAUSES) + 1, body_fails)
    [(chat, text)] = aside.told
    assert chat == "ann@x"
    assert "send it again" in text


@pytest.mark.usefixtures("hasty")
async def test_a_mailbox_that_hands_out_nothing_costs_no_mail() -> None:
    it, aside = tries(), Aside()
    for _ in range(3 * len(PAUSES)):
        for mail in ("1", "2", "3"):
            await it.take(aside, mail, fails)
        with pytest.raises(NotHandedOut):
            it.check()
    with pytest.raises(NotHandedOut):
        # Nobody goes on to what comes after them, or the cursor would name the whole mailbox.
        await it.take(aside, "4", fails)
    assert it.behind == ("1", "2", "3")
    for mail in it.due():
        assert await it.take(aside, mail, works)
    it.check()
    assert not aside.mails
    assert it.due() == []


@pytest.mark.usefixtures("hasty")
async def test_what_passes_by_the_servers_own_word_never_counts() -> None:
    it, aside = tries(), Aside()
    await in_vain(it, aside, 3 * len(PAUSES), is_busy)
    assert (aside.mails, it.behind) == ([], ("1",))


async def test_the_last_mail_of_all_is_weighed_against_one_that_came_before() -> None:
    it, aside = tries(), Aside()
    await it.take(aside, "1", works)
    await it.take(aside, "2", fails)
    with pytest.raises(NotHandedOut):
        it.check()
    await it.weigh(aside, comes)
    it.check()
    assert it.due() == []
    assert 0 < it.rest <= PAUSES[0]


async def test_a_mail_that_came_once_and_never_again_tells_nothing() -> None:
    it, aside = tries(), Aside()
    it.begin(INBOX, ("2",), came="1")
    await it.take(aside, "2", fails)
    await it.weigh(aside, is_away)
    it.begin(INBOX, ("2",), came="1")
    await it.weigh(aside, comes)
    with pytest.raises(NotHandedOut):
        it.check()


async def test_a_mail_that_waits_for_its_next_try_is_not_asked_for() -> None:
    it, aside = tries(), Aside()
    await in_vain(it, aside, 1)
    assert not await it.take(aside, "1", works)
    assert it.behind == ("1",)


@pytest.mark.usefixtures("hasty")
async def test_a_mail_that_comes_in_the_end_has_all_its_tries_again() -> None:
    it, aside = tries(), Aside()
    for _ in range(2):
        await in_vain(it, aside, len(PAUSES))
        assert await it.take(aside, "1", works)
    assert aside.mails == []


async def test_what_was_left_behind_is_known_to_the_next_process_by_its_old_number() -> None:
    it = tries()
    it.begin(INBOX, ("7",))
    assert it.due() == ["7"]
    it.begin("the folder INBOX, numbered anew", ())
    assert it.behind == ()
