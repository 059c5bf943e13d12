"""What becomes of files when nobody wants them any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from opencraw.attachments.attachments import KEPT_PER_MINUTE, SQL, Attachments
from opencraw.contract import Attachment
from opencraw.errors import NotFound, SlowDown
from opencraw.sessions.copies import Copies
from opencraw.sessions.documents import Documents
from opencraw.sessions.files import KEPT, LONGEST_NAME, display_name, files_of, type_of
from opencraw.sessions.keeping import Keeping
from opencraw.sessions.keys import Conversation
from opencraw.settings import AttachmentSettings
from tests.attachments import samples
from tests.fixtures.core import Core, address, envelope, running, session_of

PNG = samples.png()


async def kept(core: Core, name: str = "cat.png") -> Attachment:
    return await core.gateway.keep("test", name, "image/png", PNG)


async def files(core: Core) -> list[str]:
    rows = await core.fetch("SELECT name FROM attachment ORDER BY name")
    return [row["name"] for row in rows]


async def test_what_came_with_no_message_is_swept(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        store = Attachments(core.database, {})
        await core.say("mine", attachments=[await kept(core, "a.png")])
        await kept(core, "b.png")
        await store.sweep(datetime.now(UTC))
        assert await files(core) == ["a.png", "b.png"]
        await store.sweep(datetime.now(UTC) + timedelta(hours=1, minutes=1))
        assert await files(core) == ["a.png"]


async def test_what_a_message_claims_while_it_is_swept_stays(database_url: str) -> None:
    """A message was offered for an hour, and comes through between the look and the deed."""
    async with running(database_url, start=False) as core:
        late, never = await kept(core, "a.png"), await kept(core, "b.png")
        [found] = await core.database.fetch(SQL.left_over, datetime.now(UTC), 100)
        assert {str(each) for each in found["ids"]} == {
            each.source.removeprefix(KEPT) for each in (late, never)
        }
        await core.say("mine", attachments=[late])
        await core.database.commit(SQL.drop_files, (",".join(map(str, found["ids"])),))
        assert await files(core) == ["a.png"]


async def test_files_go_with_a_message_that_is_taken_back(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        await core.say("mine", "other", attachments=[await kept(core, "a.png")])
        receipt = await core.say("mine", attachments=[await kept(core, "b.png")])
        assert await core.reader.withdraw(address(), receipt.message_id)
        assert await files(core) == ["a.png"]


async def test_files_go_with_a_message_that_its_platform_deletes(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        for name in ("a.png", "b.png"):
            said = envelope("mine", attachments=[await kept(core, name)])
            await core.door.accept(msgspec.structs.replace(said, platform_id=name))
        assert await core.gateway.retract(address(), "b.png")
        assert await files(core) == ["a.png"]


@pytest.mark.parametrize("command", ["/stop", "/new"])
async def test_files_go_with_what_waits_when_somebody_stops(
    database_url: str, command: str
) -> None:
    async with running(database_url, start=False) as core:
        await core.say("mine", "other", attachments=[await kept(core, "a.png")])
        await core.say("mine", attachments=[await kept(core, "b.png")])
        await core.say(command)
        assert await files(core) == ["a.png"]


async def test_a_document_may_be_handed_in_to_be_read_by_the_turn(database_url: str) -> None:
    async with running(database_url) as core:
        locked = samples.locked_pdf()
        kept = await core.gateway.keep("test", "a.pdf", "application/pdf", locked, read=False)
        text = "schön".encode("utf-16-be")
        said = "text/plain; charset=utf-16-be"
        other = await core.gateway.keep("test", "b.txt", said, b"\xfe\xff" + text, read=False)
        picture = await core.gateway.keep("test", "c.png", "image/png", PNG, read=False)
        rows = await core.fetch("SELECT name, state, text FROM attachment ORDER BY name")
        assert [row["state"] for row in rows] == ["pending", "pending", "stored"]
        await core.say("look", attachments=[kept, other, picture])
        await core.delivered(1)
        rows = await core.fetch("SELECT state, problem, text, data FROM attachment ORDER BY name")
        assert [row["state"] for row in rows] == ["refused", "stored", "stored"]
        assert "encrypted" in rows[0]["problem"]
        assert rows[0]["data"] is None
        assert rows[1]["text"] == "schön"
        assert core.channel.fetched == []


async def test_files_go_with_their_conversation(database_url: str) -> None:
    async with running(database_url) as core:
        keeping = Keeping(core.database)
        await core.say("look", attachments=[await kept(core, "a.png")])
        # A picture alone: its message is no key without a text.
        await core.say("", attachments=[await kept(core, "b.png")])
        await core.say("look", "other", attachments=[await kept(core, "c.png")])
        await core.settled()
        await keeping.drop_old_rows(datetime.now(UTC) + timedelta(days=4_000))
        assert await files(core) == ["a.png", "b.png", "c.png"]
        assert await keeping.remove(session_of(), datetime.now(UTC))
        assert await files(core) == ["c.png"]


async def test_files_that_wait_go_with_their_conversation(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        await core.say("look", attachments=[await kept(core)])
        assert await Keeping(core.database).remove(session_of(), datetime.now(UTC))
        assert await files(core) == []


async def test_copies_of_a_conversation_name_its_files(database_url: str) -> None:
    async with running(database_url) as core:
        await core.say("look", attachments=[await kept(core)])
        await core.settled()
        documents = Documents(core.database)
        [line, _] = await documents.history(session_of(), limit=10)
        [file] = line.files
        assert (file.name, file.content_type, file.size) == ("cat.png", "image/png", len(PNG))
        header = await documents.header(session_of())
        assert header is not None
        there = Conversation.at(address("fork"), "default")
        assert await Copies(core.database).fork(header, 1, there) == 1
        [copied] = await documents.history(there.id, limit=10)
        assert (copied.text, copied.files) == ("look\n[cat.png]", ())


async def test_a_message_is_one_message_with_its_files(database_url: str) -> None:
    """Offered again, as after a lost answer, it has the files that it had."""
    async with running(database_url, start=False) as core:
        claim = Attachment("a.txt", "text/plain", "a")
        said = envelope("look", attachments=[claim, claim])
        await core.door.accept(said)
        again = await core.door.accept(said)
        assert again.duplicate
        assert await files(core) == ["a.txt", "a.txt"]


async def test_pages_are_told_what_became_of_files(database_url: str) -> None:
    async with running(database_url) as core:
        claim = Attachment("a.exe", "application/x-msdownload", "a", 5)
        await core.say("look", attachments=[claim])
        await core.settled()
        [said, _] = await core.reader.history(address())
        [file] = said.files
        assert (file.name, file.size, file.is_picture) == ("a.exe", 5, False)
        assert "not taken here" in file.problem


async def test_nobody_fills_the_disk_with_files_of_no_message(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        store = Attachments(core.database, {"test": AttachmentSettings(max_bytes=50_000_000)})
        large = PNG + bytes(49_000_000) + b"IEND"
        for _ in range(KEPT_PER_MINUTE // len(large)):
            await store.keep("test", "a.png", "image/png", large)
        with pytest.raises(SlowDown):
            await store.keep("test", "a.png", "image/png", large)
        with pytest.raises(NotFound):
            await store.one(session_of())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\0b\n\tc.txt", "a b c.txt"),
        # What reads as "picture_gpj.exe" the other way round.
        ("picture_\u202egpj.exe", "picture_ gpj.exe"),
        ("zero\u200bwidth.txt", "zero width.txt"),
        ("half \ud800 of it.txt", "half of it.txt"),
        ("", "file"),
        ("...", "file"),
        (" . ", "file"),
        ("e\u0301.txt", "é.txt"),
    ],
)
def test_a_name_is_shown_as_what_it_is(name: str, shown: str) -> None:
    assert display_name(name) == shown


def test_a_long_name_keeps_its_ending() -> None:
    shown = display_name("ü" * 300 + ".pdf")
    assert len(shown) == LONGEST_NAME
    assert shown.endswith("ü.pdf")
    assert len(display_name("x" * 300)) == LONGEST_NAME


def test_a_type_is_a_claim_in_one_form() -> None:
    assert [type_of(*each) for each in (
        ("IMAGE/PNG; name=x", "a"),
        ("", "a.pdf"),
        ("application/octet-stream", "a.json"),
        ("", "a"),
        ("no type", "a.png"),
        ("text/plain; charset=\"KOI8-R\"", "a"),
        ("text/" + "x" * 500, "a"),
    )] == [
        "image/png", "application/pdf", "application/json", "application/octet-stream",
        "application/octet-stream", "text/plain; charset=koi8-r", "application/octet-stream",
    ]  # fmt: skip


def test_a_message_without_files_has_none() -> None:
    assert files_of(None) == ()
