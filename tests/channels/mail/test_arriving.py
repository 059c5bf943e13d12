"""What a mailbox says of a mail goes along with what the mail says."""

from __future__ import annotations

from uuid import uuid4

from channels.mail.arriving import Arrivals
from channels.mail.reading import File
from opencraw.contract import Envelope, Receipt
from tests.channels.mail.mails import RULES, written
from tests.fixtures.gateway import Unasked


class _Came:
    """A mail that came a while ago, whatever it says of itself."""

    arrived = 1_700_000_000.5

    def __init__(self) -> None:
        self._bytes = written(date="Sat, 21 Nov 2099 10:00:00 +0000").as_bytes()
        self.headers = self._bytes.partition(b"\r\n\r\n")[0]
        self.size = len(self._bytes)

    async def whole(self) -> bytes:
        return self._bytes

    def source(self, file: File) -> str:
        raise AssertionError("it has no files")


class _Door(Unasked):
    """Lets everybody in."""

    def __init__(self) -> None:
        self.asked: list[Envelope] = []

    async def admits(self, envelope: Envelope) -> bool:
        self.asked.append(envelope)
        return True

    async def accept(self, envelope: Envelope) -> Receipt:
        self.asked.append(envelope)
        return Receipt(uuid4(), duplicate=False)


async def test_a_mail_was_written_when_it_came_and_not_when_it_says() -> None:
    door = _Door()
    assert await Arrivals("email", "bot@lab.test", RULES).take_in(door, _Came())
    assert [each.written_at for each in door.asked] == [1_700_000_000.5] * 2
