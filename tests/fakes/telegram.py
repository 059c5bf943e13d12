"""A fake of Telegram's Bot API: chats in memory, one queue of updates, and bad days.

    async with TelegramServer() as telegram:
        telegram.hand_out(telegram_people.message("hello", chat=7))

Every request is checked against the documented types (`objections` must stay empty), and so is
every update that it hands out. An update is there until a poll names an offset behind it; the
newest poll wins, and the one before it is told of a conflict. With a webhook it calls, again and
again until it is answered.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.fakes.serving import Service
from tests.fakes.telegram_chats import TOKEN, Chats, Json, Refusal
from tests.fakes.telegram_checks import Objection, check_update, checked

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
CALL_AGAIN_SECONDS = 0.05
#: An offset so far ahead of the newest update was never one of ours.
_AHEAD = 10


@dataclass
class Fault:
    """What happens to the next calls of a method, in one chat or any. Without a status there is no
    answer; `taken` says whether the call has its effect all the same."""

    method: str
    status: int = 0
    body: Json | str | None = None
    chat: int | None = None
    taken: bool = False
    times: int = 1


class TelegramServer(Service):
    """Use as `async with`."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port, None)
        self.faults: list[Fault] = []
        #: Every call, in order: its method and what was sent.
        self.calls: list[tuple[str, Json]] = []
        self.updates: list[Json] = []
        #: What the next poll finds whatever offset it names.
        self.again: list[Json] = []
        self.confirmed = 0
        #: When each update first went out to a poll.
        self.handed_out: dict[int, float] = {}
        self.chats = Chats()
        self.webhook: Json = {}
        #: Where the public name of whoever wants to be called leads to.
        self.leads_to = ""
        self.revoked = self.silent = self.listened = self.downloads_fail = False
        self._objections: list[str] = []
        self._news = asyncio.Event()
        self._poll: asyncio.Future[None] | None = None
        self._posts: set[asyncio.Task[None]] = set()
        self.app.router.add_route("*", "/bot{token}/{method}", self._called)
        self.app.router.add_get("/file/bot{token}/{path:.*}", self._download)

    async def __aexit__(self, *error: object) -> None:
        for post in self._posts:
            post.cancel()
        self.break_connections()
        await super().__aexit__(*error)

    # What tests do.

    def hand_out(self, update: Json, *, check: bool = True) -> int:
        """Put an update into the queue; returns its number."""
        if check:
            check_update(update)
        self.updates.append(update)
        self._tell(update)
        return int(update.get("update_id", 0))

    def hand_out_again(self, *numbers: int) -> None:
        """Have updates arrive once more, as Telegram does when it is unsure."""
        for number in numbers:
            [update, *_] = [each for each in self.updates if each.get("update_id") == number]
            self.again.append(update)
            self._tell(update)

    def begin_anew(self) -> None:
        """Number updates from low numbers on, as Telegram may after a week without any."""
        self.updates.clear()
        self.confirmed = 0

    def rewind(self) -> None:
        """Forget what was confirmed: everything is handed out once more."""
        for update in self.updates:
            self.again.append(update)
            self._tell(update)

    def break_connections(self) -> None:
        """Cut off whoever is connected."""
        server = self._runner.server
        for connection in server.connections if server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def close_down(self) -> None:
        """Take no connections any more."""
        for site in list(self._runner.sites):
            await site.stop()
        self.break_connections()

    async def open_again(self) -> None:
        """Take connections at the same address as before."""
        if not self._runner.sites:
            await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    @property
    def objections(self) -> list[str]:
        """What was wrong with requests."""
        return self._objections + self.chats.objections

    @property
    def is_listened_to(self) -> bool:
        """Somebody asked for what comes from now on, or wants to be called."""
        return self.listened or bool(self.webhook)

    def sent(self, method: str) -> list[Json]:
        """What was sent with each call of a method."""
        return [values for name, values in self.calls if name == method]

    # What a client sees.

    async def _called(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if request.match_info["token"] != TOKEN or self.revoked:
            return _json(Refusal(401, "Unauthorized"))
        sent = {
            **request.query,
            **{name: str(value) for name, value in (await _form(request)).items()},
        }
        try:
            values = checked(method, sent)
        except Objection as objection:
            self._objections.append(str(objection))
            return _json(Refusal(404 if "no method" in str(objection) else 400, str(objection)))
        self.calls.append((method, values))
        fault = self._fault(method, values)
        if fault is not None and not fault.taken:
            return _broken(request, fault)
        try:
            result = await self._effect(method, values)
        except Refusal as refusal:
            return _json(refusal)
        if fault is not None:
            return _broken(request, fault)
        return web.json_response({"ok": True, "result": result})

    async def _effect(self, method: str, values: Json) -> Any:
        if method == "getUpdates":
            return await self._get_updates(values)
        effects: dict[str, Callable[[Json], Any]] = {
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._delete_webhook,
            "getWebhookInfo": self._webhook_info,
            "getMe": self.chats.get_me,
            "sendMessage": self.chats.send_message,
            "editMessageText": self.chats.edit_message_text,
            "sendMessageDraft": self.chats.send_message_draft,
            "sendChatAction": self.chats.send_chat_action,
            "answerCallbackQuery": self.chats.answer_callback_query,
            "getMyCommands": self.chats.get_my_commands,
            "setMyCommands": self.chats.set_my_commands,
            "getFile": self.chats.get_file,
        }
        if self.silent and method == "getWebhookInfo":
            await asyncio.Event().wait()
        return effects[method](values)

    def _fault(self, method: str, values: Json) -> Fault | None:
        for fault in self.faults:
            if fault.method == method and fault.chat in (None, values.get("chat_id")):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    # Updates.

    async def _get_updates(self, values: Json) -> list[Json]:
        if self.webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active")
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)
        ours = self._poll = asyncio.get_running_loop().create_future()
        offset = values.get("offset", 0)
        if offset < 0:
            numbers = [each["update_id"] for each in self.updates if "update_id" in each]
            self.confirmed = max(self.confirmed, *numbers[:offset], 0)
        elif offset <= self._newest() + _AHEAD:
            self.listened = True
            self.confirmed = max(self.confirmed, offset - 1)
        else:
            # From before the numbers began anew: all there is goes out, and nothing is confirmed.
            self.listened = True
        ends_at = time.monotonic() + values.get("timeout", 0)
        while self.silent or not (found := self._waiting(values)):
            left = None if self.silent else ends_at - time.monotonic()
            if left is not None and left <= 0:
                return []
            await self._news_or(ours, left)
            if ours.done():
                raise Refusal(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot "
                    "instance is running",
                )
            if self.revoked:
                raise Refusal(401, "Unauthorized")
        for update in found:
            self.handed_out.setdefault(update.get("update_id", 0), time.monotonic())
        return found

    def _newest(self) -> float:
        numbers = [each["update_id"] for each in self.updates if "update_id" in each]
        return max(numbers, default=math.inf)

    async def _news_or(self, ours: asyncio.Future[None], seconds: float | None) -> None:
        """Wait for news, for a newer poll, or as long as this one may take."""
        self._news.clear()
        news: asyncio.Future[Any] = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait([news, ours], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()

    def _waiting(self, values: Json) -> list[Json]:
        again, self.again = self.again, []
        wanted = values.get("allowed_updates")
        waiting = [
            each
            for each in self.updates
            if each.get("update_id", 0) > self.confirmed
            and (not wanted or any(kind in each for kind in wanted) or len(each) == 1)
        ]
        return [*again, *waiting][: values.get("limit", 100)]

    def _tell(self, update: Json) -> None:
        self._news.set()
        if self.webhook:
            post = asyncio.create_task(self._post(update))
            self._posts.add(post)
            post.add_done_callback(self._posts.discard)

    async def _post(self, update: Json) -> None:
        """Call until we are answered."""
        headers = {SECRET_HEADER: self.webhook.get("secret_token", "")}
        while self.webhook:
            if self.silent or not self._runner.sites:
                await asyncio.sleep(CALL_AGAIN_SECONDS)
                continue
            url = self.leads_to + URL(self.webhook["url"]).path
            with suppress(aiohttp.ClientError, OSError):
                async with aiohttp.request("POST", url, json=update, headers=headers) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(CALL_AGAIN_SECONDS)

    def _set_webhook(self, values: Json) -> bool:
        self.webhook = values
        if values.get("drop_pending_updates"):
            self.updates.clear()
        for update in self.updates:
            if update.get("update_id", 0) > self.confirmed:
                self._tell(update)
        return True

    def _delete_webhook(self, values: Json) -> bool:
        self.webhook = {}
        if values.get("drop_pending_updates"):
            self.updates.clear()
        return True

    def _webhook_info(self, _: Json) -> Json:
        url = self.webhook.get("url", "")
        return {"url": url, "has_custom_certificate": False, "pending_update_count": 0}

    async def _download(self, request: web.Request) -> web.Response:
        if self.downloads_fail:
            raise web.HTTPBadGateway
        data = self.chats.files.get(request.match_info["path"].removeprefix("files/"))
        if data is None or request.match_info["token"] != TOKEN:
            raise web.HTTPNotFound
        return web.Response(body=data)


async def _form(request: web.Request) -> Mapping[str, Any]:
    if request.content_type == "application/json":
        sent: Mapping[str, Any] = await request.json()
        return {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in sent.items()
        }
    return await request.post()


def _json(refusal: Refusal) -> web.Response:
    return web.json_response(refusal.body, status=refusal.status)


def _broken(request: web.Request, fault: Fault) -> web.Response:
    if not fault.status:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    if isinstance(fault.body, str):
        return web.Response(status=fault.status, text=fault.body, content_type="text/html")
    return web.json_response(fault.body, status=fault.status)
