"""A conversation as one document that outlives the program which wrote it.

`schema_version` says how to read it. A document of an earlier version is brought up to date step by
step, by functions from document to document; one of a later version is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta

from opencraw.contract import Address, Origin
from opencraw.errors import Refused
from opencraw.model import Thinking, ToolCall
from opencraw.sessions.keys import AGENT, id_of_key, is_key_of, session_key
from opencraw.sessions.zones import zone_named
from opencraw.settings import LARGEST_CAP, LONGEST_DEBOUNCE_MS, DebounceWindow, Drop, Mode
from opencraw.store.text import storable

CURRENT = 2
_MOST = 2**62
#: What every program, wherever it runs, can tell the local time of.
_FIRST_DAY, _LAST_DAY = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)

#: A time of day somewhere is no moment.
Moment = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, lt=_MOST)]


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class UsageTotals(_Struct, frozen=True):
    """Tokens since the conversation began anew."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0


class Queue(_Struct, frozen=True):
    """What its people chose for its queue; null follows the configuration."""

    mode: Mode | None = None
    debounce_ms: Annotated[int, Meta(ge=0, le=LONGEST_DEBOUNCE_MS)] | None = None
    debounce_window: DebounceWindow | None = None
    cap: Annotated[int, Meta(ge=1, le=LARGEST_CAP)] | None = None
    drop: Drop | None = None


class DocumentMarks(_Struct, frozen=True):
    """Numbers of entries: where it began anew, and what prompts show of it."""

    reset_seq: int = 0
    begin_seq: int = 0
    checkpoint_seq: int = 0
    pruned_seq: int = 0
    flushed_seq: int = 0


class Delivered(_Struct, frozen=True, omit_defaults=True):
    """What people were shown of an entry."""

    delivery_id: UUID
    kind: Literal["reply", "notice"]
    at: Moment
    #: Null is the text of the line.
    text: str | None = None
    tools: tuple[str, ...] = ()
    interrupted: bool = False


class NamedFile(_Struct, frozen=True):
    """A file that came with a message, without its bytes: they stay where they are."""

    name: str
    content_type: str
    size: int | None = None


class HistoryLine(_Struct, frozen=True, omit_defaults=True):
    """One entry of the transcript. Which fields mean something depends on `kind`."""

    seq: int
    kind: Literal[
        "user", "assistant", "tool_started", "tool_result", "notice", "checkpoint", "recalled"
    ]
    text: str
    at: Moment
    turn_id: UUID | None = None
    message_id: UUID | None = None
    disposition: Literal["asked", "injected", "superseded", "summarized"] | None = None
    #: Of a person's line: for whom its turn worked.
    asked_by: str = ""
    rights: Literal["owner", "guest"] = "owner"
    origin: Origin = Origin.CHANNEL
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    call_id: str | None = None
    tool_name: str | None = None
    failed: bool = False
    interrupted: bool = False
    covers: int | None = None
    items: tuple[UUID, ...] = ()
    delivered: Delivered | None = None
    files: tuple[NamedFile, ...] = ()


class SessionDocument(_Struct, frozen=True):
    """A conversation, with all or some of its history."""

    schema_version: int
    id: UUID
    key: str
    tenant: str
    agent: str
    address: Address
    #: The channel on which it began, and who began it.
    channel_id: str
    sender_id: str
    chat_type: Literal["direct", "group", "channel"] | None
    created_at: Moment
    last_active: Moment
    begun_at: Moment
    archived_at: Moment | None
    messages: Count
    last_seq: Count
    marks: DocumentMarks
    show_thinking: bool
    show_tool_calls: bool
    usage_totals: UsageTotals
    last_user_message_id: UUID | None
    last_assistant_message_id: UUID | None
    model_override: str | None
    model_pinning: Literal["prefer", "strict"]
    queue: Queue
    sends: bool | None
    time_zone: str | None
    forked_from: UUID | None
    forked_seq: Count | None
    history: tuple[HistoryLine, ...]


Document = dict[str, Any]


def read(tree: object) -> SessionDocument:
    """The conversation that a document of any known version holds. Raises `Refused`."""
    if not isinstance(tree, Mapping):
        raise Refused("A conversation is a JSON object; send what an export wrote.")
    version = tree.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Refused(
            "The document does not say its schema_version, so nobody can tell how to read it. "
            "Send what an export wrote.",
            code="INVALID_FIELD",
        )
    if version > CURRENT:
        raise Refused(
            f"The document has schema_version {version}, and this program knows versions up to "
            f"{CURRENT}: a newer one wrote it. Nothing was imported. Upgrade, then try again.",
            code="INVALID_FIELD",
        )
    document = cast(Document, _clean(tree))
    try:
        for number in range(version, CURRENT):
            document = MIGRATIONS[number](document)
        found = msgspec.convert(document, SessionDocument, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(f"{error}; correct it.", code="INVALID_FIELD") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(
            f"This is no conversation of schema_version {version}: {error!r}. Send what an export "
            "wrote.",
            code="INVALID_FIELD",
        ) from None
    _check(found)
    return found


def _clean(tree: object) -> object:
    """`tree` with texts that the database can keep."""
    match tree:
        case str():
            return storable(tree)
        case Mapping():
            return {storable(str(name)): _clean(value) for name, value in tree.items()}
        case list() | tuple():
            return [_clean(each) for each in tree]
        case float() if not math.isfinite(tree):
            raise Refused("A number in the document is none.")
        case _:
            return tree


def _check(document: SessionDocument) -> None:
    """Refuse what cannot have been exported, and would break what relies on it."""
    marks = msgspec.structs.astuple(document.marks)
    seqs = [line.seq for line in document.history]
    address, zone = document.address, document.time_zone
    moments = (document.created_at, document.last_active, document.begun_at, *_moments(document))
    wrong = {
        "address": not (address.channel and address.account and address.chat),
        "channel_id": document.channel_id != address.channel,
        "agent": document.agent != AGENT,
        "key": not is_key_of(
            document.key,
            address,
            document.tenant,
            sender=document.sender_id,
            is_direct=document.chat_type == "direct",
        ),
        "id": document.id != id_of_key(document.key),
        # Another machine may not have this model; then a turn says so, and which there are.
        "model_override": document.model_override is not None
        and "/" not in document.model_override,
        "time_zone": zone is not None and zone_named(zone) is None,
        "at": not all(_FIRST_DAY <= moment <= _LAST_DAY for moment in moments),
        "model_pinning": document.model_pinning == "strict" and not document.model_override,
        "last_active": document.last_active < document.created_at,
        "marks": not all(0 <= mark <= document.last_seq for mark in marks),
        "history": seqs != sorted(set(seqs))
        or not all(1 <= seq <= document.last_seq for seq in seqs),
        "history.turn_id": any(not _belongs(line) for line in document.history),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise Refused(
                f"The document contradicts itself: {name}. Nothing was imported. Send what an "
                "export wrote.",
                code="INVALID_FIELD",
            )


def _moments(document: SessionDocument) -> Iterator[datetime]:
    for line in document.history:
        yield line.at
        if line.delivered is not None:
            yield line.delivered.at


def _belongs(line: HistoryLine) -> bool:
    """Whether a line has what its kind needs."""
    return (
        (line.kind == "notice" or line.turn_id is not None)
        and (line.kind == "user") == (line.disposition is not None)
        and (line.kind in ("tool_started", "tool_result")) == (line.call_id is not None)
        and (line.kind == "checkpoint") == (line.covers is not None)
        and (line.covers is None or 0 <= line.covers < line.seq)
    )


def _from_1(old: Document) -> Document:
    """Version 1 knew a channel and a sender, an id of any kind, and history as what each role
    said."""
    address = Address(old["channel_id"], old.get("account_id", "local"), old["sender_id"])
    tenant = old.get("tenant", "default")
    key = session_key(address, tenant)
    id_ = id_of_key(key)
    history: list[Document] = []
    turn = uuid5(id_, "turn 0")
    for said in old["history"]:
        is_user = said["role"] == "user"
        if said["role"] not in ("user", "assistant"):
            continue  # what tools returned was not linked to their calls
        seq = len(history) + 1
        if is_user:
            turn = uuid5(id_, f"turn {seq}")
        line: Document = {
            "seq": seq,
            "kind": said["role"],
            "text": said["content"],
            "at": said.get("at", old["last_active"]),
            "turn_id": str(turn),
            "message_id": str(uuid5(id_, f"message {seq}")),
        }
        if is_user:
            line |= {"disposition": "asked", "asked_by": old["sender_id"]}
        else:
            delivery = {"delivery_id": line["message_id"], "kind": "reply"}
            line["delivered"] = delivery | {"text": line["text"], "at": line["at"]}
        history.append(line)
    usage = old.get("usage_totals", {})
    return {
        "schema_version": 2,
        "id": str(id_),
        "key": key,
        "tenant": tenant,
        "agent": AGENT,
        "address": msgspec.to_builtins(address),
        "channel_id": old["channel_id"],
        "sender_id": old["sender_id"],
        "chat_type": "direct",
        "created_at": old["created_at"],
        "last_active": old["last_active"],
        "begun_at": old["created_at"],
        "archived_at": None,
        "messages": sum(line["kind"] == "user" for line in history),
        "last_seq": len(history),
        "marks": {},
        "show_thinking": old.get("show_thinking", False),
        "show_tool_calls": old.get("show_tool_calls", False),
        "usage_totals": {
            name: usage.get(name, 0) for name in ("prompt_tokens", "completion_tokens")
        },
        "last_user_message_id": None,
        "last_assistant_message_id": None,
        "model_override": old.get("model_override"),
        "model_pinning": old.get("model_pinning", "prefer"),
        "queue": {},
        "sends": None,
        "time_zone": None,
        "forked_from": None,
        "forked_seq": None,
        "history": history,
    }


#: From each version to the next.
MIGRATIONS: Mapping[int, Callable[[Document], Document]] = {1: _from_1}
