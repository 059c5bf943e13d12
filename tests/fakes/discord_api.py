"""The fake's API: what a bot may ask of Discord, and the state of all channels.

Every body that a bot sends is held against Discord's published specification.
"""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.fakes import discord_objects as objects
from tests.fakes.discord_answers import HEADERS, Fault, answer, broken, limited, refused
from tests.fakes.discord_gateway import Gateway
from tests.fakes.discord_objects import Json, id_of, snowflake
from tests.fakes.discord_schemas import problems
from tests.fakes.serving import Service

BOT_ID = "900000000000000001"
APPLICATION_ID = "900000000000000002"
ROLE_ID = "900000000000000003"
GUILD_ID = "900000000000000004"
TOKEN = f"{urlsafe_b64encode(BOT_ID.encode()).decode()}.made-up.token"
LONGEST = 2000
_PERSON, _DIRECT, _CHANNEL = 1, 2, 3


@dataclass
class Version:
    """What a message of the bot's said from then on."""

    at: float
    text: str


@dataclass
class Channel:
    """One of Discord's channels, with everything that was said in it."""

    described: Json
    messages: dict[str, Json] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    versions: dict[str, list[Version]] = field(default_factory=dict)
    typed: int = 0

    @property
    def id(self) -> str:
        return str(self.described["id"])

    @property
    def last(self) -> str | None:
        return max(self.messages, key=int, default=None)


class DiscordApi(Service):
    """The platform as the bot knows it."""

    def __init__(self, groups: tuple[str, ...] = ("#den", "#street")) -> None:
        super().__init__(0, None)
        self.bot = objects.user(BOT_ID, "crab", bot=True)
        self.channels: dict[str, Channel] = {}
        self.guild: Json = {
            "id": GUILD_ID,
            "name": "The Sea",
            "unavailable": False,
            "roles": [
                {"id": GUILD_ID, "name": "@everyone"},
                {"id": ROLE_ID, "name": "crab", "tags": {"bot_id": BOT_ID}},
            ],
            "channels": [],
            "threads": [],
            "members": [{"user": self.bot, "roles": [ROLE_ID]}],
        }
        application = {"id": APPLICATION_ID, "flags": 0}
        hello = {"user": self.bot, "application": application, "guilds": [self.guild]}
        self.gateway = Gateway(TOKEN, hello)
        for name in groups:
            self.add(objects.text_channel(self.group(name), GUILD_ID, name, None))
        self.faults: list[Fault] = []
        #: Whoever answers a press or a command is too late.
        self.forgets_interactions = False
        #: Every request: method, path, body.
        self.requests: list[tuple[str, str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.downloads = 0
        self.commands: list[Json] = []
        self.sessions_left = 1000
        self.token = TOKEN
        self.down = False
        #: What changes a draft gets here, and is carried out when this is set.
        self.drafts_may_change = asyncio.Event()
        self.drafts_may_change.set()
        self._late: set[asyncio.Future[web.StreamResponse]] = set()
        #: What pressing people are told, by interaction: Discord waits for it.
        self.told: dict[str, asyncio.Future[str]] = {}
        self._route()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.gateway.url = f"ws://127.0.0.1:{self.port}/gw"
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.gateway.drop(1001)
        await super().__aexit__(*problem)

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v10"

    def person(self, name: str) -> str:
        return id_of(_PERSON, name)

    def group(self, name: str) -> str:
        return id_of(_CHANNEL, name)

    def direct(self, user_id: str) -> Channel:
        """The channel between the bot and a person."""
        channel_id = str(int(user_id) - (_PERSON - _DIRECT) * 10**17)
        if channel_id not in self.channels:
            person = objects.user(user_id, f"user-{user_id[-4:]}")
            self.add(objects.direct_channel(channel_id, person))
        return self.channels[channel_id]

    # The bot.

    def _route(self) -> None:
        routes: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            "GET /users/@me": self._who,
            "POST /users/@me/channels": self._open,
            "GET /applications/@me": self._application,
            "GET /oauth2/applications/@me": self._application,
            "GET /applications/{application}/commands": self._listed,
            "PUT /applications/{application}/commands": self._list,
            "GET /gateway/bot": self._where,
            "GET /channels/{channel}": self._describe,
            "GET /channels/{channel}/messages": self._read,
            "POST /channels/{channel}/messages": self._post,
            "GET /channels/{channel}/messages/{message}": self._read_one,
            "PATCH /channels/{channel}/messages/{message}": self._change,
            "DELETE /channels/{channel}/messages/{message}": self._remove,
            "POST /channels/{channel}/typing": self._type,
            "POST /interactions/{interaction}/{token}/callback": self._answer,
            "PATCH /webhooks/{application}/{token}/messages/@original": self._answer_later,
            "DELETE /webhooks/{application}/{token}/messages/@original": self._answer_nothing,
        }
        self.app.middlewares.append(self._at_the_door)
        for route, handler in routes.items():
            method, _, path = route.partition(" ")
            self.app.router.add_route(method, f"/api/v10{path}", handler)
        self.app.router.add_get("/files/{file}/{name}", self._download)
        self.app.router.add_get("/gw/", self.gateway.handle)
        self.app.router.add_get("/gw", self.gateway.handle)

    @web.middleware
    async def _at_the_door(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.down:
            return broken(request)
        if not request.path.startswith("/api/"):
            return await handler(request)
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path.removeprefix("/api/v10"), body))
        anonymous = "/interactions/" in request.path or "/webhooks/" in request.path
        if not anonymous and request.headers.get("Authorization") != f"Bot {self.token}":
            return answer({"message": "401: Unauthorized", "code": 0}, 401)
        return await handler(request)

    async def _who(self, _request: web.Request) -> web.StreamResponse:
        me = self.bot | {"mfa_enabled": False, "locale": "en-US"}
        assert not (wrong := problems("UserPIIResponse", me)), wrong
        return answer(me)

    async def _application(self, _request: web.Request) -> web.StreamResponse:
        return answer(
            {
                "id": APPLICATION_ID,
                "name": "crab",
                "description": "",
                "icon": None,
                "bot_public": False,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "flags": 0,
                "owner": objects.user(self.person("a"), "a"),
                "team": None,
            }
        )

    async def _where(self, _request: web.Request) -> web.StreamResponse:
        limit = {"max_concurrency": 1, "remaining": self.sessions_left, "reset_after": 9_000_000}
        found = {
            "url": self.gateway.url,
            "shards": 1,
            "session_start_limit": limit | {"total": 1000},
        }
        assert not (wrong := problems("GatewayBotResponse", found)), wrong
        return answer(found)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if wrong := problems("CreatePrivateChannelRequest", body):
            return refused(wrong)
        channel = self.direct(body["recipient_id"])
        return answer(channel.described | {"last_message_id": channel.last})

    async def _listed(self, _request: web.Request) -> web.StreamResponse:
        return answer(self.commands)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        for each in body:
            if wrong := problems("ApplicationCommandUpdateRequest", each):
                return refused(wrong)
        self.commands = [each | {"id": snowflake()} for each in body]
        return answer(self.commands)

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        channel = self.channels.get(request.match_info["channel"])
        if channel is None:
            return answer({"message": "Unknown Channel", "code": 10003}, 404)
        return answer(channel.described | {"last_message_id": channel.last})

    async def _read(self, request: web.Request) -> web.StreamResponse:
        channel = self.channels.get(request.match_info["channel"])
        if channel is None:
            return answer({"message": "Unknown Channel", "code": 10003}, 404)
        found = sorted(channel.messages.values(), key=lambda each: int(each["id"]))
        limit = int(request.query.get("limit", 50))
        assert limit <= 100
        if "after" in request.query:
            after = int(request.query["after"])
            found = [each for each in found if int(each["id"]) > after][:limit]
        # A key is for whoever sent it; nobody reads it later.
        bare = [{k: v for k, v in each.items() if k != "nonce"} for each in found[-limit:]]
        return answer(bare[::-1])

    async def _read_one(self, request: web.Request) -> web.StreamResponse:
        channel = self.channels.get(request.match_info["channel"])
        found = channel.messages.get(request.match_info["message"]) if channel else None
        if found is None:
            return answer({"message": "Unknown Message", "code": 10008}, 404)
        return answer(found)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        channel = self.channels.get(request.match_info["channel"])
        if channel is None:
            return answer({"message": "Unknown Channel", "code": 10003}, 404)
        body = await request.json()
        if wrong := _wrong_with("MessageCreateRequest", body):
            return refused(wrong)
        return await self._unless(request, body, lambda: self._posted(channel, body))

    async def _posted(self, channel: Channel, body: Json) -> Json:
        key = body.get("nonce")
        if body.get("enforce_nonce") and key in channel.keys:
            return channel.messages[channel.keys[key]]
        made = objects.message(channel.id, self.bot, body["content"], nonce=key)
        made["components"] = body.get("components", [])
        if reference := body.get("message_reference"):
            made["message_reference"] = reference | {"channel_id": channel.id, "type": 0}
            made["type"] = 19
        channel.messages[made["id"]] = made
        channel.versions[made["id"]] = [Version(time.monotonic(), body["content"])]
        if key:
            channel.keys[key] = made["id"]
        await self.gateway.tell("MESSAGE_CREATE", self.event(channel, made))
        return made

    async def _change(self, request: web.Request) -> web.StreamResponse:
        channel = self.channels.get(request.match_info["channel"])
        message_id = request.match_info["message"]
        if channel is None or message_id not in channel.messages:
            return answer({"message": "Unknown Message", "code": 10008}, 404)
        if channel.messages[message_id]["author"]["id"] != BOT_ID:
            return answer({"message": "Cannot edit a message by another user", "code": 50005}, 403)
        body = await request.json()
        if wrong := _wrong_with("MessageEditRequestPartial", body):
            return refused(wrong)
        if "components" in body:
            return await self._unless(
                request, body, lambda: self._changed(channel, message_id, body)
            )
        # Whoever hangs up has sent it all the same.
        late = asyncio.ensure_future(self._draft_changed(channel, message_id, body))
        self._late.add(late)
        late.add_done_callback(self._late.discard)
        return await asyncio.shield(late)

    async def _draft_changed(
        self, channel: Channel, message_id: str, body: Json
    ) -> web.StreamResponse:
        await self.drafts_may_change.wait()
        if message_id not in channel.messages:
            return answer({"message": "Unknown Message", "code": 10008}, 404)
        return answer(await self._changed(channel, message_id, body))

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        channel = self.channels[request.match_info["channel"]]
        if channel.messages.pop(request.match_info["message"], None) is None:
            return answer({"message": "Unknown Message", "code": 10008}, 404)
        return web.Response(status=204, headers=HEADERS)

    async def _changed(self, channel: Channel, message_id: str, body: Json) -> Json:
        made = channel.messages[message_id]
        made["content"] = body["content"]
        made["components"] = body.get("components", made["components"])
        channel.versions[message_id].append(Version(time.monotonic(), body["content"]))
        await self.gateway.tell("MESSAGE_UPDATE", self.event(channel, made))
        return made

    async def _unless(
        self, request: web.Request, body: Json, act: Callable[[], Awaitable[Json]]
    ) -> web.StreamResponse:
        """Do what is asked for, unless something goes wrong."""
        fault = self._fault(request.match_info["channel"]) if "components" in body else None
        match fault:
            case None:
                return answer(await act())
            case Fault(kind="rate_limited"):
                return limited(fault)
            case Fault(kind="server_error"):
                return answer({"message": "upstream connect error", "code": 0}, 503)
            case Fault(kind="refused"):
                return answer({"message": "Missing Permissions", "code": 50013}, 403)
            case _:
                await act()
                return broken(request)

    def _fault(self, channel_id: str) -> Fault | None:
        for fault in self.faults:
            if fault.channel_id in ("", channel_id):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    async def _type(self, request: web.Request) -> web.StreamResponse:
        self.channels[request.match_info["channel"]].typed += 1
        return web.Response(status=204, headers=HEADERS)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if wrong := problems("CreateMessageInteractionCallbackRequest", body):
            return refused(wrong)
        if self.forgets_interactions:
            return answer({"message": "Unknown interaction", "code": 10062}, 404)
        if body["type"] == 4:
            self._tell_presser(request, body["data"]["content"])
        return web.Response(status=204, headers=HEADERS)

    async def _answer_later(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if wrong := problems("IncomingWebhookUpdateRequestPartial", body):
            return refused(wrong)
        self._tell_presser(request, body["content"])
        return answer({})

    async def _answer_nothing(self, request: web.Request) -> web.StreamResponse:
        self._tell_presser(request, "")
        return web.Response(status=204, headers=HEADERS)

    def _tell_presser(self, request: web.Request, text: str) -> None:
        self.told.pop(request.match_info["token"]).set_result(text)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        self.downloads += 1
        data = self.files.get(request.match_info["file"])
        return web.Response(status=404) if data is None else web.Response(body=data)

    def add(self, described: Json) -> Channel:
        channel = self.channels[described["id"]] = Channel(described)
        if described["type"] in (0, 11):
            self.guild["threads" if described["type"] == 11 else "channels"].append(described)
        return channel

    def event(self, channel: Channel, message: Json) -> Json:
        channel.described["last_message_id"] = channel.last
        return message | guild_of(channel)


def _wrong_with(schema: str, body: Json) -> list[str]:
    wrong = problems(schema, body)
    if len(body.get("content") or "") > LONGEST:
        wrong.append(f"content: Must be {LONGEST} or fewer in length.")
    if not (body.get("content") or "").strip():
        wrong.append("content: Cannot send an empty message")
    return wrong


def guild_of(channel: Channel) -> Json:
    guild_id = channel.described.get("guild_id")
    return {"guild_id": guild_id} if guild_id else {}
