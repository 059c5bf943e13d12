"""What was said, and whether everything that was said has come to a right end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID, uuid5

import asyncpg

from opencraw.contract import Delivery, Envelope
from opencraw.queue.settings import QueueSettings
from tests.fixtures.ledgers import names_in
from tests.fixtures.mailbox import Mailbox
from tests.machines.held_model import HeldModel, answers_in

#: What may become of a message, by what its conversation has seen.
_OUTCOMES: dict[str, set[str]] = {
    "steer": {"injected", "superseded"},
    "interrupt": {"superseded", "interrupted"},
    "stop": {"withdrawn", "interrupted"},
    "withdraw": {"withdrawn"},
    "fail": {"failed"},
    "summarize": {"summarized"},
    "oldest": {"dropped"},
    "newest": {"dropped"},
}
#: A summary quotes so many, and says how many more there were.
MOST_QUOTES = QueueSettings().overflow_summary_max_messages
_WITHOUT_ANSWER = {"withdrawn", "dropped"}

OUTCOMES = """
SELECT inbox.id, inbox.message_id, inbox.state, inbox.outcome, inbox.text, inbox.turn_id,
       inbox.rights, turn.state AS turn_state, turn.rights AS turn_rights
  FROM inbox LEFT JOIN turn ON turn.id = inbox.turn_id
 WHERE inbox.trigger_type <> 'command'
 ORDER BY inbox.id
"""


@dataclass
class Said:
    """One message, as its sender knows it."""

    name: str
    envelope: Envelope
    #: None while it is not accepted.
    id: UUID | None = None
    #: It was taken back, and that was confirmed.
    withdrawn: bool = False

    @property
    def chat(self) -> str:
        return self.envelope.address.chat


class Accounts:
    """Compares what the people said with what the model heard and the channel delivered."""

    def __init__(
        self,
        said: list[Said],
        saw: dict[str, set[str]],
        model: HeldModel,
        channel: Mailbox,
    ) -> None:
        self._said = said
        self._saw = saw
        self._model = model
        self._got = channel.got
        self._summed_up: Counter[UUID] = Counter()
        self._told: dict[UUID, Delivery] = {
            each.line.turn_id: each
            for each in self._got
            if each.line.turn_id is not None and _is_reply(each)
        }

    def so_far(self) -> None:
        """What holds at every moment."""
        assert not self._model.faults, self._model.faults
        repeated = [mark for mark, times in self._model.effects.items() if times > 1]
        assert not repeated, f"a tool's effect happened again: {repeated}"
        for name, deliveries in self._answers().items():
            assert len(deliveries) == 1, f"{name} was answered by several deliveries: {deliveries}"
        copies = Counter(each.delivery_id for each in self._got if not each.recovered)
        assert not copies or max(copies.values()) == 1, "a second copy says that it is one"

    def _answers(self) -> dict[str, set[UUID]]:
        """For each step of the model the deliveries that end with it."""
        found: dict[str, set[UUID]] = {}
        for each in self._got:
            if numbers := answers_in(each.line.text):
                found.setdefault(f"step {numbers[-1]}", set()).add(each.delivery_id)
        return found

    def at_rest(self, rows: list[asyncpg.Record]) -> None:
        """What holds when nobody has anything left to do."""
        self.so_far()
        found = {row["message_id"]: row for row in rows}
        self._summed_up = Counter(row["turn_id"] for row in rows if row["outcome"] == "summarized")
        accepted = [each for each in self._said if each.id is not None]
        assert len(found) == len(rows) == len(accepted), "what was accepted, once each"
        for each in accepted:
            assert each.id is not None
            self._came_to_a_right_end(each, found[each.id])
        for chat in self._saw:
            self._in_order(chat, [row for row in rows if names_in(row["text"])[0][0] == chat])

    def _came_to_a_right_end(self, said: Said, row: asyncpg.Record) -> None:
        saw = self._saw[said.chat]
        possible = {"answered"}.union(*(_OUTCOMES.get(what, ()) for what in saw))
        if said.chat in self._model.failed:
            possible.add("failed")
        what = f"{said.name} in a conversation that saw {sorted(saw)}: {dict(row)}"
        assert row["outcome"] in possible, what
        if row["turn_id"] is not None:
            assert row["rights"] == row["turn_rights"], f"a turn acted for two kinds: {what}"
        if said.withdrawn:
            assert row["outcome"] == "withdrawn", what
        if row["outcome"] in _WITHOUT_ANSWER:
            assert not self._heard_by(said), f"the model was told of {what}"
            return
        told = self._told.get(row["turn_id"])
        if row["turn_state"] == "done":
            assert told is not None, f"no answer to {what}"
            numbers = set(answers_in(told.line.text))
            is_quoted = self._summed_up[row["turn_id"]] <= MOST_QUOTES
            if is_quoted or row["outcome"] != "summarized":
                assert self._heard_by(said) & numbers, f"the answer does not know of {what}"
        elif row["turn_state"] == "failed":
            assert told is not None, f"nobody was told of {what}"
            assert told.line.kind == "notice", f"nobody was told of {what}"

    def _heard_by(self, said: Said) -> set[int]:
        return {call.number for call in self._model.calls if said.name in call.names}

    def _in_order(self, chat: str, rows: list[asyncpg.Record]) -> None:
        firsts: dict[UUID, Delivery] = {}
        for each in self._got:
            if each.address.chat == chat:
                firsts.setdefault(each.delivery_id, each)
        seqs = [each.line.seq for each in firsts.values()]
        assert seqs == sorted(seqs), f"{chat} was told things out of order: {seqs}"
        answered: dict[UUID, int] = {}
        for row in rows:
            if row["outcome"] == "answered":
                answered[row["turn_id"]] = row["id"]
        asked = [
            answered[each.line.turn_id]
            for each in firsts.values()
            if each.line.turn_id in answered and _is_reply(each)
        ]
        assert asked == sorted(asked), f"{chat} was answered out of order: {asked}"
        if self._saw[chat] <= {"followup", "fail", "withdraw", "stop", "block"}:
            turns = [row["turn_id"] for row in rows if row["turn_id"] is not None]
            assert len(turns) == len(set(turns)), f"two messages of {chat} shared a turn"


def _is_reply(delivery: Delivery) -> bool:
    turn = delivery.line.turn_id
    return turn is not None and delivery.delivery_id == uuid5(turn, "reply")
