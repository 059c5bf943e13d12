"""One socket, from its greeting to its close."""

from __future__ import annotations

import asyncio
import contextlib
from uuid import UUID, uuid4

import msgspec
from aiohttp import WSMsgType, web

from channels.webchat import frames
from channels.webchat.conversation import Conversation, Listener
from channels.webchat.outgoing import Outgoing
from channels.webchat.patience import in_time
from opencraw.contract import Attachment, Envelope, Gateway, Pick, Rights, Sender
from opencraw.errors import Refused, Unavailable

#: Requests of one socket that may be on their way at once; further frames wait unread.
IN_FLIGHT = 64
#: Whoever holds the access token is the owner, in every tab.
OWNER = Sender(id="owner", name="owner", rights=Rights.OWNER)


class Connection:
    """Reads what a client says and hands it on; what it hears goes through `Outgoing`."""

    def __init__(
        self, socket: web.WebSocketResponse, conversation: Conversation, gateway: Gateway
    ) -> None:
        self._socket = socket
        self._conversation = conversation
        self._gateway = gateway
        self._outgoing = Outgoing(conversation.snapshot)
        self._listener = Listener(self._outgoing)
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)

    async def serve(self) -> None:
        """Return when the socket is closed, by whichever side."""
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._outgoing.write_to(self._socket.send_frame))
            closing = tasks.create_task(self._close_when_ended(writing))
            try:
                await self._greet()
                await self._read(tasks)
            finally:
                self._conversation.leave(self._listener)
                self._outgoing.end(1000)
                writing.cancel()
                await asyncio.wait([closing])

    async def _greet(self) -> None:
        try:
            await self._conversation.join(self._listener)
        except Unavailable as unavailable:
            with contextlib.suppress(ConnectionError):
                await self._socket.send_frame(_error(unavailable, None), WSMsgType.TEXT)
            self._outgoing.end(1013)

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        async for message in self._socket:
            try:
                frame = frames.decode(message.data)
            except frames.FrameRefused as refused:
                self._outgoing.put(_error(refused, refused.client_message_id))
                continue
            # Not awaited one by one: many messages share one commit. Tasks start in the order in
            # which they are made, so messages are accepted in the order in which they came.
            await self._in_flight.acquire()
            tasks.create_task(self._answer(frame))

    async def _answer(self, frame: frames.AnyClientFrame) -> None:
        message_id = frame.client_message_id if isinstance(frame, frames.Message) else None
        try:
            match frame:
                case frames.Message():
                    await self._accept(frame)
                case frames.Stop():
                    async with in_time():
                        await self._gateway.accept(self._envelope("/stop", None))
                case frames.Resume():
                    await self._resume(frame)
                case frames.History():
                    listener, before, limit = self._listener, frame.before, frame.limit
                    history = await self._conversation.history(listener, before, limit)
                    self._outgoing.put(history)
                case frames.Withdraw():
                    await self._withdraw(frame.message_id)
                case frames.Choose():
                    await self._choose(frame)
        except (Refused, Unavailable) as error:
            self._outgoing.put(_error(error, message_id))
        finally:
            self._in_flight.release()

    async def _accept(self, frame: frames.Message) -> None:
        envelope = self._envelope(frame.content, frame.client_message_id, frames.attachments(frame))
        async with in_time():
            receipt = await self._gateway.accept(envelope)
        ack = frames.Ack(
            frame.client_message_id,
            receipt.message_id,
            receipt.duplicate,
            muted=receipt.muted or msgspec.UNSET,
        )
        self._outgoing.put(frames.encode(ack))

    async def _resume(self, frame: frames.Resume) -> None:
        if frame.resume_token != self._conversation.resume_token:
            raise Refused("This resume token belongs to another chat.", code="INVALID_FIELD")
        try:
            await self._conversation.resume(self._listener, frame.last_seq)
        except Unavailable:
            # Half a replay leaves a gap that only a new one can close.
            self._outgoing.end(1013)

    async def _withdraw(self, message_id: UUID) -> None:
        async with in_time():
            ok = await self._gateway.reader.withdraw(self._conversation.address, message_id)
        self._outgoing.put(frames.encode(frames.Withdrawn(message_id, ok)))

    async def _choose(self, frame: frames.Choose) -> None:
        pick = Pick(frame.choice_id, frame.option, self._conversation.address, OWNER)
        try:
            async with in_time():
                ok, text = True, await self._gateway.choose(pick)
        except Refused as refused:
            ok, text = False, str(refused)
        self._outgoing.put(frames.encode(frames.Chosen(frame.choice_id, ok, text)))

    def _envelope(
        self, text: str, client_message_id: str | None, attachments: tuple[Attachment, ...] = ()
    ) -> Envelope:
        address = self._conversation.address
        if client_message_id is None:
            key = str(uuid4())
        else:
            key = frames.dedupe_key(address.chat, client_message_id)
        return Envelope(
            address=address,
            sender=OWNER,
            text=text,
            dedupe_key=key,
            correlation_id=uuid4(),
            attachments=attachments,
        )

    async def _close_when_ended(self, writing: asyncio.Task[None]) -> None:
        code = await self._outgoing.ended
        # The writer may be waiting for this very reader.
        writing.cancel()
        await self._socket.close(code=code, drain=False)


def _error(error: Refused | Unavailable, client_message_id: str | None) -> bytes:
    return frames.encode(
        frames.Error(
            code=error.code,
            message=str(error),
            retryable=isinstance(error, Unavailable),
            client_message_id=client_message_id,
        )
    )
