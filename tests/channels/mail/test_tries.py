"""A mail that is not handed out stands in nobody's way for long."""

from __future__ import annotations

import pytest

from channels.mail.tries import MOST_TRIES, NotHandedOut, Tries
from tests.fixtures.gateway import Unasked


class Aside(Unasked):
    """Notes what is put aside."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    async def quarantine(self, channel: str, account: str, payload: str, problem: str) -> None:
        self.mails.append(payload)


async def fails() -> bool:
    raise NotHandedOut("no")


async def works() -> bool:
    return True


async def test_a_mail_is_put_aside_once_and_not_asked_for_again() -> None:
    tries, aside = Tries("email", "bot@x"), Aside()
    for _ in range(MOST_TRIES - 1):
        with pytest.raises(NotHandedOut):
            await tries.take(aside, "mail 1", fails)
    assert aside.mails == []
    assert await tries.take(aside, "mail 1", fails) is None
    assert await tries.take(aside, "mail 1", works) is None
    assert aside.mails == ["mail 1"]


async def test_mails_that_are_handed_out_in_between_do_not_save_one_that_is_not() -> None:
    """A mailbox that is looked at anew begins with the same good ones each time."""
    tries, aside = Tries("email", "bot@x"), Aside()
    for _ in range(MOST_TRIES - 1):
        assert await tries.take(aside, "mail 1", works)
        with pytest.raises(NotHandedOut):
            await tries.take(aside, "mail 2", fails)
    assert await tries.take(aside, "mail 2", fails) is None
    assert aside.mails == ["mail 2"]


async def test_a_mail_that_is_handed_out_in_the_end_has_all_its_tries_again() -> None:
    tries, aside = Tries("email", "bot@x"), Aside()
    for _ in range(2):
        for _ in range(MOST_TRIES - 1):
            with pytest.raises(NotHandedOut):
                await tries.take(aside, "mail 1", fails)
        assert await tries.take(aside, "mail 1", works)
    assert aside.mails == []
