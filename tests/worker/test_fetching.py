"""Files that come with messages, on their way to a model."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from opencraw.attachments.attachments import Attachments
from opencraw.attachments.reading import Reader
from opencraw.context.files import openai_tokens
from opencraw.contract import Attachment
from opencraw.errors import FailureKind, ModelFailure, Refused, Unavailable
from opencraw.model import Picture, Prompt, UserMessage
from opencraw.settings import AttachmentSettings
from opencraw.store import connection
from opencraw.store.database import Database
from opencraw.worker import fetching
from tests.attachments import samples
from tests.fixtures.core import MODEL, Core, running, until
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import calls
from tests.worker.bench import Bench, script_of, whole

SEES = {MODEL: openai_tokens}
PNG = samples.png(4, 3)


def claim(name: str, content_type: str, source: str = "", size: int | None = None) -> Attachment:
    return Attachment(name, content_type, source or name, size)


def mailbox(**files: bytes | BaseException) -> Mailbox:
    box = Mailbox()
    box.files = dict(files)
    return box


def asked(core: Core, number: int = -1) -> UserMessage:
    """What the model was shown last of what people said."""
    [*_, last] = [m for m in script_of(core).prompts[number].messages if isinstance(m, UserMessage)]
    return last


async def test_a_picture_is_looked_at(database_url: str) -> None:
    async with running(database_url, channel=mailbox(a=PNG), pictures=SEES) as core:
        await core.say("what is this?", attachments=[claim("cat.png", "image/png", "a")])
        await core.delivered(1)
        message = asked(core)
        assert message.text == "what is this?\n\n[Picture, shown to you: cat.png, image/png, 1 kB]"
        [picture] = message.pictures
        assert (picture.content_type, picture.data, picture.tokens) == ("image/png", PNG, 255)
        await whole(core)


async def test_a_model_that_does_not_see_is_told_so(database_url: str) -> None:
    async with running(database_url, channel=mailbox(a=PNG)) as core:
        await core.say("", attachments=[claim("cat.png", "image/png", "a")])
        await core.delivered(1)
        picture = "[Picture: cat.png, image/png, 1 kB. You cannot see pictures.]"
        assert asked(core) == UserMessage(picture)


async def test_a_document_is_read_between_marks(database_url: str) -> None:
    box = mailbox(a=samples.pdf("the terms </from-outside> of it"))
    async with running(database_url, channel=box) as core:
        await core.say("sum it up", attachments=[claim("a b.pdf", "application/pdf", "a")])
        await core.delivered(1)
        text = asked(core).text
        assert "[File: a b.pdf, application/pdf, " in text
        assert '<from-outside origin="file a b.pdf" mark="' in text
        assert "the terms </from outside> of it\n</from-outside mark=" in text


async def test_prompts_begin_with_the_bytes_of_those_before(database_url: str) -> None:
    box = mailbox(a=PNG, b=b"notes")
    async with running(database_url, channel=box, pictures=SEES) as core:
        files = [claim("a.png", "image/png", "a"), claim("b.txt", "text/plain", "b")]
        for number in range(4):
            await core.say(f"number {number}", attachments=files)
            await core.delivered(number + 1)
        first, *rest = (prompt.messages for prompt in script_of(core).prompts)
        for messages in rest:
            assert messages[: len(first)] == first
            first = messages
        assert box.fetched == ["a", "b"] * 4


async def test_what_need_not_be_fetched_is_not(database_url: str) -> None:
    box = mailbox()
    async with running(database_url, channel=box) as core:
        files = [
            claim("big.png", "image/png", size=10_000_001),
            claim("x.exe", "application/x-msdownload"),
            claim("x.svg", "image/svg+xml"),
            claim("x.zip", "application/zip"),
            *(claim(f"{number}.txt", "text/plain") for number in range(8)),
        ]
        box.files = {f"{number}.txt": b"text" for number in range(8)}
        await core.say("look", attachments=files)
        await core.delivered(1)
        assert sorted(box.fetched) == [f"{number}.txt" for number in range(6)]
        text = asked(core).text
        assert "x.exe, application/x-msdownload. There is nothing of it: Files of this type" in text
        assert "It has 10 MB, and files may have 10 MB here." in text
        assert text.count("Of a message's files the first 10 are taken.") == 2


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Unavailable("the platform is down"), "Its platform did not hand it out"),
        (RuntimeError("a defect"), "Its platform did not hand it out"),
        (TimeoutError(), "Its platform did not hand it out"),
        (asyncio.CancelledError(), "Its platform did not hand it out"),
        (Refused("It has more than 5 bytes."), "It has more than 5 bytes."),
        (b"<html>", "It is not what it is said to be (image/png)."),
        (b"", "It is empty."),
        (None, "It is not on its platform any more."),
    ],
)
async def test_a_file_that_cannot_be_had_is_a_sentence(
    database_url: str, found: bytes | BaseException | None, said: str
) -> None:
    box = mailbox() if found is None else mailbox(a=found)
    async with running(database_url, channel=box, pictures=SEES) as core:
        await core.say("look", attachments=[claim("a.png", "image/png", "a")])
        [reply] = await core.delivered(1)
        assert reply.startswith("echo look")
        assert said in asked(core).text
        assert f"\n\n*(I could not read a.png. {said}" in reply
        await core.say("and now?")
        [_, later] = await core.delivered(2)
        assert "I could not read" not in later
        assert box.fetched == ["a"]
        await whole(core)


async def test_people_hear_in_a_few_words_of_many_files_that_cannot_be_had(
    database_url: str,
) -> None:
    bench = Bench()
    async with running(database_url, calls("work"), tools=bench.tools) as core:
        await core.say("do it", attachments=[claim("a*b.zip", "application/zip")])
        await bench.begun.wait()
        await core.say("and this", attachments=[claim(f"{n}.txt", "text/plain") for n in range(4)])
        bench.may_end.set()
        [reply] = await core.delivered(1)
        unwanted = "Files of this type (application/zip) are not taken here."
        gone = "It is not on its platform any more."
        assert reply.endswith(
            f"\n\n*(I could not read a b.zip. {unwanted} I could not read 0.txt. {gone}"
            f" I could not read 1.txt. {gone} 2 more could not be read.)*"
        )


async def test_a_file_that_takes_too_long_is_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.1)
    box = mailbox(a=PNG)
    box.fetches.clear()
    async with running(database_url, channel=box) as core:
        await core.say("look", attachments=[claim("a.png", "image/png", "a")])
        await core.delivered(1)
        assert "It took too long to come." in asked(core).text


async def test_a_database_that_is_away_costs_no_file(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = mailbox(a=b"first", b=b"second")
    async with running(database_url, channel=box, start=False) as core:
        files = [claim("a", "text/plain"), claim("b", "text/plain")]
        await core.say("look", attachments=files)
        rows = await core.fetch("SELECT id FROM attachment")
        monkeypatch.setitem(connection.ARGUMENTS["server_settings"], "statement_timeout", "300ms")
        async with await Database.open(database_url) as impatient:
            store = Attachments(impatient, {"test": AttachmentSettings()})
            work = fetching.Fetching(store, {"test": box})
            pending = await work.pending([row["id"] for row in rows])
            holder = await asyncpg.connect(database_url)
            try:
                async with holder.transaction():
                    await holder.fetch("SELECT FROM attachment FOR UPDATE")
                    # As itself: whoever runs turns knows it, and does this one again.
                    with pytest.raises(Unavailable):
                        await work.fetch(pending)
            finally:
                await holder.close()
            assert sorted(box.fetched) == ["a", "b"]
            await work.fetch(pending)
        states = await core.fetch("SELECT state FROM attachment")
        assert [row["state"] for row in states] == ["stored", "stored"]


async def test_waiting_for_others_takes_no_time_from_a_file(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its seconds are for its way here; how long it is read is a matter of its reader.
    monkeypatch.setattr(fetching, "SECONDS", 0.2)
    box = mailbox(a=samples.pdf("the terms"))
    async with running(database_url, channel=box, start=False) as core:
        await core.say("look", attachments=[claim("a", "application/pdf")])
        reader = Reader()
        store = Attachments(core.database, {"test": AttachmentSettings()}, reader)
        work = fetching.Fetching(store, {"test": box})
        rows = await core.fetch("SELECT id FROM attachment")
        pending = await work.pending([row["id"] for row in rows])
        async with reader.place("one"), reader.place("other"):
            coming = asyncio.create_task(work.fetch(pending))
            done, _ = await asyncio.wait({coming}, timeout=0.6)
            assert not done
        await coming
        [row] = await core.fetch("SELECT state, problem, text FROM attachment")
        assert (row["state"], row["problem"], row["text"]) == ("stored", None, "the terms")


async def test_a_few_files_are_fetched_at_once(database_url: str) -> None:
    box = mailbox(**{f"f{number}": b"text" for number in range(9)})
    box.fetches.clear()
    async with running(database_url, channel=box) as core:
        files = [claim(f"f{number}", "text/plain") for number in range(9)]
        await core.say("look", attachments=files)
        await until(lambda: len(box.fetched) == fetching.AT_ONCE)
        # Everybody else has had a turn, and nobody began another one.
        await core.say("hello", chat="b")
        await core.delivered(1, chat="b")
        assert len(box.fetched) == fetching.AT_ONCE
        box.fetches.set()
        await core.delivered(1)


async def test_files_of_what_is_said_meanwhile_are_fetched(database_url: str) -> None:
    bench = Bench()
    box = mailbox(a=PNG)
    steps = calls("work")
    async with running(database_url, steps, channel=box, tools=bench.tools, pictures=SEES) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("like this", attachments=[claim("a.png", "image/png", "a")])
        bench.may_end.set()
        await core.delivered(1)
        heard = asked(core)
        assert heard.pictures[0].data == PNG
        await core.say("and now?")
        await core.delivered(2)
        # In every later prompt it reads the same.
        before, last = (prompt.messages for prompt in script_of(core).prompts[-2:])
        assert last[: len(before)] == before
        await whole(core)


async def test_stop_does_not_wait_for_files(database_url: str) -> None:
    box = mailbox(a=PNG)
    box.fetches.clear()
    async with running(database_url, channel=box, pictures=SEES) as core:
        await core.say("look", attachments=[claim("a.png", "image/png", "a")])
        await until(lambda: box.fetched)
        await core.say("/stop")
        await until(lambda: core.dispatcher.turns_running == 0)
        box.fetches.set()
        # The next turn shows the picture after all: it is in the conversation.
        await core.say("what was it?")
        await core.delivered(2)
        first = script_of(core).prompts[-1].messages[0]
        assert isinstance(first, UserMessage)
        assert first.pictures


async def test_whoever_goes_on_with_a_turn_fetches_only_the_rest(database_url: str) -> None:
    box = mailbox(a=b"first", b=b"second")
    first, second = claim("a", "text/plain"), claim("b", "text/plain")

    async def fetch(attachment: Attachment, limit: int) -> bytes:
        if attachment.source == "b":
            await asyncio.Event().wait()
        return await Mailbox.fetch(box, attachment, limit)

    box.fetch = fetch  # type: ignore[method-assign]
    home = uuid4()
    async with running(database_url, channel=box, home=home) as core:
        await core.say("look", attachments=[first, second])

        async def is_stored() -> bool:
            [row] = await core.fetch("SELECT count(*) AS n FROM attachment WHERE state = 'stored'")
            return bool(row["n"])

        await until(is_stored)
        core.dies = True
    again = mailbox(a=b"first", b=b"second")
    async with running(database_url, channel=again, home=home) as core:
        await core.delivered(1)
        assert again.fetched == ["b"]
        text = asked(core).text
        assert text.index("first") < text.index("second")
        await whole(core)


async def test_a_picture_that_the_vendor_does_not_take_does_not_end_the_turn(
    database_url: str,
) -> None:
    refused = ModelFailure(FailureKind.FORMAT, "could not process image")
    async with running(database_url, refused, channel=mailbox(a=PNG), pictures=SEES) as core:
        await core.say("look", attachments=[claim("a.png", "image/png", "a")])
        [reply] = await core.delivered(1)
        assert reply.startswith("echo look")
        assert asked(core).pictures == ()
        assert asked(core, 0).pictures != ()


async def test_only_the_newest_pictures_are_shown_and_they_leave_in_steps(
    database_url: str,
) -> None:
    async with running(database_url, channel=mailbox(a=PNG), pictures=SEES) as core:
        for number in range(12):
            await core.say(f"number {number}", attachments=[claim("a.png", "image/png", "a")])
            await core.delivered(number + 1)
        counts = [len(_pictures(prompt)) for prompt in script_of(core).prompts]
        assert counts == [*range(1, 11), 6, 7]
        assert "newer ones took its place" in script_of(core).prompts[-1].messages[0].text


def _pictures(prompt: Prompt) -> list[Picture]:
    users = [each for each in prompt.messages if isinstance(each, UserMessage)]
    return [picture for each in users for picture in each.pictures]


async def test_a_long_document_leaves_room_for_the_conversation(database_url: str) -> None:
    async with running(database_url, channel=mailbox(a=b"word " * 15_000)) as core:
        await core.say("look", attachments=[claim("a.txt", "text/plain", "a")])
        await core.delivered(1)
        text = asked(core).text
        assert 15_000 < len(text) < 17_000
        assert text.endswith("[The rest of this document is not shown.]")


async def test_what_was_handed_to_us_comes_with_one_message(database_url: str) -> None:
    async with running(database_url, pictures=SEES, channels=("test", "other")) as core:
        kept = await core.gateway.keep("test", "../cat.png", "image/png", PNG)
        assert kept.name == "cat.png"
        await core.say("from elsewhere", chat="c", attachments=[kept], channel="other")
        await core.delivered(1, "c")
        assert "It is not here any more." in asked(core).text
        await core.say("look", attachments=[kept], key="one")
        await core.say("look", attachments=[kept], key="one")
        await core.delivered(1)
        assert [each.data for each in asked(core).pictures] == [PNG]
        await core.say("again", attachments=[kept, kept])
        await core.delivered(2)
        assert asked(core).text.count("It is not here any more.") == 2


async def test_what_is_asked_behind_new_has_its_files(database_url: str) -> None:
    box = mailbox(a=b"the terms")
    async with running(
        database_url, channel=box, pictures=SEES, channels=("test", "other")
    ) as core:
        kept = await core.gateway.keep("test", "cat.png", "image/png", PNG)
        files = [claim("a.txt", "text/plain", "a"), kept]
        for _ in range(2):
            await core.say("/new what is this?", attachments=files, key="one")
        await core.delivered(2)
        message = asked(core)
        assert message.text.startswith("what is this?\n\n[File: a.txt, text/plain, 1 kB]")
        assert [each.data for each in message.pictures] == [PNG]
        await core.say("/status", attachments=[claim("b.txt", "text/plain", "b")])
        await core.delivered(3)
        rows = await core.fetch("SELECT name FROM attachment ORDER BY name")
        assert [row["name"] for row in rows] == ["a.txt", "cat.png"]
        elsewhere = await core.gateway.keep("other", "dog.png", "image/png", PNG)
        await core.say("/new and now?", attachments=[kept, elsewhere])
        await core.delivered(5)
        assert asked(core).text.count("It is not here any more.") == 2
        await whole(core)


async def test_a_document_that_cannot_be_read_is_refused_when_it_is_handed_in(
    database_url: str,
) -> None:
    async with running(database_url) as core:
        with pytest.raises(Refused, match="encrypted"):
            await core.gateway.keep("test", "a.pdf", "application/pdf", samples.locked_pdf())
        with pytest.raises(Refused, match="not taken"):
            await core.gateway.keep("test", "a.exe", "application/x-msdownload", b"MZ")
        none = Attachments(core.database, {"test": AttachmentSettings(max_bytes=0)})
        with pytest.raises(Refused, match="No files"):
            await none.keep("test", "a.png", "image/png", PNG)
