"""Vectors of memories: made in the background, compared in the database.

A memory is durable, and found by its words, the moment it is saved. Its vector follows when the
model gets to it; no message ever waits for one. Any number of daemons may do this for one database:
they may do the same work twice, and write the same. When the model changes, or is corrected what it
was about, the old vectors are passed over and made anew, so two models never meet in one search.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from hashlib import md5
from typing import Literal
from uuid import UUID

from opencraw.errors import Unavailable
from opencraw.memory.embedding import Embedder, NoVectors, TextsRefused, Vector
from opencraw.memory.ranking import Found
from opencraw.memory.scopes import Scopes
from opencraw.store.backoff import pauses
from opencraw.store.connection import FAILURES, in_words
from opencraw.store.database import Database, Record
from opencraw.store.queries import load

log = logging.getLogger(__name__)

SQL = load("opencraw.memory", "memory.sql")
UPKEEP = load("opencraw.memory", "upkeep.sql")

BATCH = 32
#: Other daemons save memories too, and tell nobody.
LOOK_AGAIN_SECONDS = 30.0
LONGEST_PAUSE = 60.0
#: So long questions are not asked of a model that did not answer the last one.
REST_SECONDS = 10.0
#: Vectors go into an index that takes its time, and other writes of the daemon wait behind them.
WRITTEN_AT_ONCE = 4
#: More would cost in proportion, and what is far from the question is of no use.
MOST_FOUND = 40
LONGEST_PROBLEM = 400
_PATIENCE_SECONDS = 5.0
_Work = Literal["making", "comparing"]
#: Any text that every model takes: its vector has the size of all.
_SAMPLE = "OpenCraw"


class Vectors:
    """The vectors of one model."""

    def __init__(
        self, database: Database, embedder: Embedder, *, min_similarity: float = -1.0
    ) -> None:
        #: What goes wrong while vectors are made, and while they are compared.
        self._problems: dict[_Work, str] = {}
        self._database = database
        self._embedder = embedder
        self._min_similarity = min_similarity
        #: What its vectors are kept under: the model and their size. None until it has answered.
        self._label: str | None = None
        self._dimensions = 0
        self._rests_until = 0.0
        #: It did not answer a question: ask whether it is there at all.
        self._in_doubt = False
        self._awake = asyncio.Event()

    @property
    def problem(self) -> str | None:
        """Why memories are searched by their words alone; None when they are not."""
        return next(iter(self._problems.values()), None)

    @property
    def ready(self) -> bool:
        """Whether questions are searched for by their meaning."""
        return self._label is not None and "making" not in self._problems

    def wake(self) -> None:
        """There is a memory without a vector."""
        self._awake.set()

    async def run(self) -> None:
        """Give every memory its vector, until cancelled."""
        while True:
            for pause in pauses(1.0, LONGEST_PAUSE):
                # Before the look: who saves something from now on is not overlooked.
                self._awake.clear()
                try:
                    await self._catch_up()
                except Exception as error:  # noqa: BLE001 - noted, and tried again: a help, no duty
                    self._note("making", str(error) or type(error).__name__)
                    await asyncio.sleep(pause)
                else:
                    self._note("making", None)
                    break
            try:
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self._awake.wait()
            except TimeoutError:
                pass  # look again

    async def near(
        self, scopes: Scopes, question: str, without: Collection[UUID]
    ) -> Sequence[Found]:
        """Memories that mean something like `question`; none when the model does not say soon what
        it means."""
        label = self._label
        if label is None or not self.ready or time.monotonic() < self._rests_until:
            return ()
        try:
            vector = await self._embedder.of_question(question)
        except NoVectors as error:
            self._rest(error)
            self._in_doubt = True
            self.wake()
            return ()
        if len(vector) != self._dimensions:
            self._note("making", str(self._wrong_size(len(vector))))
            self.wake()
            return ()
        try:
            records = await self._database.fetch(
                SQL.find_by_meaning,
                scopes.tenant,
                scopes.readable,
                label,
                vector,
                list(without),
                MOST_FOUND,
                patience=_PATIENCE_SECONDS,
            )
        except Unavailable as error:
            self._rest(error)
            return ()
        except FAILURES as error:
            # It takes vectors and does not compare them: another question may find it mended.
            self._note("comparing", f"the database does not compare vectors: {in_words(error)}")
            self._rests_until = time.monotonic() + REST_SECONDS
            return ()
        self._note("comparing", None)
        return [Found(*record) for record in records if record["score"] >= self._min_similarity]

    async def close(self) -> None:
        """Let go of the connections to the model."""
        await self._embedder.close()

    async def _catch_up(self) -> None:
        label = await self._prepared()
        while waiting := await self._database.fetch(UPKEEP.without_vector, label, BATCH):
            await self._keep(label, waiting, await self._of(waiting))

    async def _prepared(self) -> str:
        """Ask the model for the size of its vectors, and the database for a place for them."""
        if self._label is not None and self.ready and not self._in_doubt:
            return self._label
        [sample] = await self._embedder.of_memories([_SAMPLE])
        # Not a read, but it may be repeated: what is there already stays as it is.
        [record] = await self._database.fetch(UPKEEP.prepare_vectors, len(sample))
        if record["problem"] is not None:
            raise NoVectors(f"the database has no place for vectors: {record['problem']}")
        self._dimensions = len(sample)
        self._label = f"{self._embedder.model}/{len(sample)}"
        self._in_doubt = False
        return self._label

    async def _of(self, waiting: Sequence[Record]) -> Sequence[Vector]:
        """A vector for each; an empty one for a text that the model does not take."""
        try:
            vectors = await self._embedder.of_memories([each["text"] for each in waiting])
        except TextsRefused as error:
            if len(waiting) > 1:
                return [vector for each in waiting for vector in await self._of([each])]
            # Unless it refuses everything, this text is to blame, and must not hold up the others.
            await self._embedder.of_memories([_SAMPLE])
            log.warning("memory %s gets no vector: %s", waiting[0]["id"], error)
            return [()]
        if len(vectors[0]) != self._dimensions:
            raise self._wrong_size(len(vectors[0]))
        return vectors

    async def _keep(self, label: str, waiting: Sequence[Record], vectors: Sequence[Vector]) -> None:
        rows = [
            (each["id"], _digest(each["text"]), label, _as_text(vector))
            for each, vector in zip(waiting, vectors, strict=True)
        ]
        for start in range(0, len(rows), WRITTEN_AT_ONCE):
            some = rows[start : start + WRITTEN_AT_ONCE]
            await asyncio.gather(*(self._database.commit(UPKEEP.keep_vector, row) for row in some))

    def _wrong_size(self, size: int) -> NoVectors:
        self._label = None
        return NoVectors(
            f"{self._embedder.model} made vectors of {self._dimensions} numbers, and now of {size}"
        )

    def _rest(self, error: Exception) -> None:
        log.warning("memory was searched by words alone: %s", error)
        self._rests_until = time.monotonic() + REST_SECONDS

    def _note(self, work: _Work, problem: str | None) -> None:
        before = self.problem
        if problem is not None:
            self._problems[work] = problem[:LONGEST_PROBLEM]
        else:
            self._problems.pop(work, None)
        if before is None and self.problem is not None:
            log.warning("memory is searched by its words alone: %s", self.problem)
        if before is not None and self.problem is None:
            log.info("memory is searched by its meaning again")


def _digest(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _as_text(vector: Vector) -> str:
    """As a column of vectors is written: a row has no place for an array."""
    return f"[{','.join(f'{number:.6g}' for number in vector)}]" if vector else ""
