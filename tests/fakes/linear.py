"""Linear's API: every operation is checked against Linear's own schema, and executed by it.

`says` is a person who comments; `troubles` are what happens to the next comments that we write.
What the schema does not say is as Linear's documentation has it: errors carry a code, too many
requests have the status 400, and an id of a client is taken once.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal
from uuid import UUID, uuid4, uuid5

import aiohttp
import graphql
from aiohttp import web

from tests.fakes.linear_schema import schema
from tests.fakes.serving import Service

KEY = "lin_api_of_a_test"
SECRET = "a signing secret, in tests"
_IDS = UUID(int=7)
Json = dict[str, Any]


def id_of(name: str) -> str:
    """The id that something of this name has."""
    return str(uuid5(_IDS, name))


ME = id_of("opencraw")


@dataclass
class Trouble:
    """What happens to the next comment of ours, on one issue if one is named."""

    kind: Literal["rate_limited", "server_error", "lost_answer", "refused"]
    issue: str = ""
    retry_after: float = 0.5
    #: Which allowance is used up.
    shape: str = "requests"


class Answer(Exception):
    """Linear answers with this instead."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


@cache
def _understood(question: str) -> tuple[graphql.DocumentNode | None, str]:
    """The operation, and what is wrong with it. To look at one takes ten milliseconds."""
    try:
        document = graphql.parse(question)
    except graphql.GraphQLSyntaxError as error:
        return None, str(error)
    wrong = graphql.validate(schema(), document)
    return document, str(wrong[0]) if wrong else ""


class LinearServer(Service):
    """Use as `async with`; tests reach into it."""

    def __init__(self) -> None:
        super().__init__(0, None)
        self.users: dict[str, Json] = {}
        self.issues: dict[str, Json] = {}
        self.comments: dict[str, Json] = {}
        self.activities: dict[str, Json] = {}
        self.history: list[tuple[float, str, str, str]] = []
        self.questions: list[str] = []
        self.troubles: list[Trouble] = []
        self.files: dict[str, bytes] = {}
        self.downloads = 0
        #: When each comment first went out to somebody who asks for what is new.
        self.handed_out: dict[str, float] = {}
        #: Comments that the next poll brings whether they changed or not.
        self.again: list[str] = []
        self.revoked = self.silent = False
        #: For so many seconds nobody is to ask.
        self.peace = 0.0
        self.workspace = id_of("workspace")
        #: For so long Linear thinks before it answers a question.
        self.thinks = 0.0
        #: Whoever asks for more than the first page of comments waits.
        self.holds_pages_back = False
        self._lost = False
        #: The comments that the next answer hands out.
        self._page: list[str] = []
        self._clock = itertools.count()
        self._transports: set[asyncio.Transport] = set()
        self.person("opencraw", app=True)
        # Its first question would take too long to be answered otherwise.
        schema()
        self.app.router.add_post("/graphql", self._ask)
        self.app.router.add_get("/uploads/{name}", self._file)

    # What people do.

    def person(self, name: str, *, app: bool = False) -> Json:
        """Somebody of the workspace."""
        user: Json = {"id": id_of(name), "name": name.title(), "displayName": name, "app": app}
        return self.users.setdefault(user["id"], user)

    def issue(self, name: str, *, team: str = "main", assignee: str = "") -> Json:
        """An issue, which is there from now on."""
        number = len(self.issues) + 1
        made: Json = {
            "id": id_of(f"issue {name}"),
            "identifier": f"ENG-{number}",
            "title": f"About {name}",
            "description": f"Everything about {name}.",
            "team": {"id": id_of(f"team {team}")},
            "assignee": self.person(assignee) if assignee else None,
            "delegate": None,
        }
        return self.issues.setdefault(made["id"], made)

    def says(
        self,
        issue: Json,
        text: str,
        *,
        by: Json | None,
        mention: bool = True,
        parent: str = "",
        **more: object,
    ) -> Json:
        """Somebody comments; `by` None is nobody with an account."""
        body = f"@opencraw {text}" if mention else text
        label = {"type": "suggestion_userMentions", "attrs": {"id": ME, "label": "opencraw"}}
        written = [*([label] if mention else []), {"type": "text", "text": text}]
        content = {"type": "doc", "content": [{"type": "paragraph", "content": written}]}
        now = self.now()
        comment: Json = {
            "id": str(uuid4()),
            "body": body,
            "bodyData": json.dumps(content),
            "createdAt": now,
            "updatedAt": now,
            "editedAt": None,
            "archivedAt": None,
            "user": by,
            "parent": self.comments.get(parent),
            "issue": issue,
            "reactions": [],
            **more,
        }
        self.comments[comment["id"]] = comment
        return comment

    def changes(self, comment: str, text: str) -> None:
        """Somebody edits a comment."""
        now = self.now()
        self.comments[comment] |= {"body": text, "editedAt": now, "updatedAt": now}

    def takes_back(self, comment: str) -> None:
        """Somebody deletes a comment. Nobody promises that this counts as a change of it."""
        self.comments[comment]["archivedAt"] = self.now()

    def reacts(self, comment: str, emoji: str, by: Json) -> None:
        """Somebody puts an emoji to a comment."""
        self.comments[comment]["reactions"].append({"emoji": emoji, "user": by})
        self.comments[comment]["updatedAt"] = self.now()

    def now(self) -> str:
        """A moment later than all before."""
        moment = datetime.now(UTC) + timedelta(microseconds=next(self._clock))
        return moment.isoformat().replace("+00:00", "Z")

    async def tell(self, url: str, event: Json, *, secret: str = SECRET, at: float = 0) -> int:
        """Call a webhook; the status of the answer."""
        event = {"webhookTimestamp": (at or time.time()) * 1000, **event}
        body = json.dumps(event).encode()
        headers = {
            "Linear-Signature": hmac.new(secret.encode(), body, "sha256").hexdigest(),
            "Linear-Delivery": str(uuid4()),
            "Linear-Event": event["type"],
            "Content-Type": "application/json",
        }
        address = f"{url}/api/v1/os/channels/linear/webhook"
        async with aiohttp.request("POST", address, data=body, headers=headers) as response:
            return response.status

    # What goes wrong.

    async def disconnect(self) -> None:
        """Break all connections and take no new ones."""
        for site in list(self._runner.sites):
            await site.stop()
        for transport in self._transports:
            transport.abort()

    async def reconnect(self) -> None:
        """All is well again."""
        self.revoked = self.silent = False
        if not self._runner.sites:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    # What the daemon does.

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        if self.revoked or request.headers.get("Authorization") != KEY:
            return failed(401, "AUTHENTICATION_ERROR", "You need to authenticate")
        body = await request.json()
        document, wrong = _understood(body["query"])
        if document is None:
            return failed(400, "GRAPHQL_PARSE_FAILED", wrong)
        if wrong:
            return failed(400, "GRAPHQL_VALIDATION_FAILED", wrong)
        self.questions.append(body["query"].split("(")[0].split("{")[0].split()[1])
        while self.silent and "mutation" not in body["query"]:
            await asyncio.sleep(0.02)
        if self.peace and "mutation" not in body["query"]:
            return limited(Trouble("rate_limited", "", self.peace, "requests"))
        if "mutation" not in body["query"]:
            await asyncio.sleep(self.thinks)
        return await self._answer(request, document, body.get("variables") or {})

    async def _answer(
        self, request: web.Request, document: graphql.DocumentNode, variables: Json
    ) -> web.StreamResponse:
        while self.holds_pages_back and variables.get("after"):
            await asyncio.sleep(0.02)
        self._lost = False
        result = graphql.execute_sync(
            schema(), document, root_value=self._roots(), variable_values=variables
        )
        if result.errors:
            original = result.errors[0].original_error
            if isinstance(original, Answer):
                return original.response
            return failed(400, "GRAPHQL_VALIDATION_FAILED", str(result.errors[0]))
        if self._lost and request.transport is not None:
            request.transport.abort()
        page, self._page = self._page, []
        self.handed_out = dict.fromkeys(page, time.monotonic()) | self.handed_out
        return web.json_response({"data": result.data})

    def _roots(self) -> Mapping[str, Callable[..., object]]:
        return {
            "viewer": lambda _: self.users[ME],
            "organization": lambda _: {"id": self.workspace, "name": "Test & Sons"},
            "comments": self._comments,
            "comment": lambda _, **asked: self._known(self.comments, asked["id"]),
            "agentActivity": lambda _, **asked: self._known(self.activities, asked["id"]),
            "commentCreate": self._create,
            "commentUpdate": self._update,
            "agentActivityCreate": self._act,
        }

    def _comments(self, _: object, first: int, after: str | None = None, **asked: Any) -> Json:
        assert asked["orderBy"] == "updatedAt", "a poll goes by what changed"
        assert asked["includeArchived"], "or it misses what somebody deleted"
        repeated, self.again = [self.comments[each] for each in self.again], []
        found = [each for each in self.comments.values() if _fits(each, asked["filter"])] + repeated
        found.sort(key=lambda each: each["updatedAt"], reverse=True)
        start = int(after or 0)
        end = start + first
        more = end < len(found)
        if start == 0 and more and repeated:
            # A page of a poll that brings more than fits brings all of it.
            end, more = len(found), False
        self._page = [comment["id"] for comment in found[start:end]]
        return {
            "nodes": found[start:end],
            "pageInfo": {"hasNextPage": more, "endCursor": str(end)},
        }

    def _known(self, things: Mapping[str, Json], name: str) -> Json:
        if name not in things:
            raise Answer(failed(200, "INPUT_ERROR", "Entity not found"))
        return things[name]

    def _create(self, _: object, **asked: Json) -> Json:
        wanted = asked["input"]
        fault = self._meets(wanted["issueId"])
        if wanted["id"] in self.comments:
            raise Answer(failed(200, "INPUT_ERROR", f"the id {wanted['id']} is taken"))
        if UUID(wanted["id"]).version != 4:
            raise Answer(failed(200, "INPUT_ERROR", "id must be a UUID v4"))
        issue = self._known(self.issues, wanted["issueId"])
        by = self.users[ME]
        comment = self.says(issue, wanted["body"], by=by, mention=False,
                            parent=wanted.get("parentId") or "", id=wanted["id"])  # fmt: skip
        self._note(comment)
        self._lost = fault is not None
        return {"success": True, "comment": comment}

    def _update(self, _: object, **asked: Any) -> Json:
        comment = self._known(self.comments, asked["id"])
        fault = self._meets(comment["issue"]["id"])
        comment |= {"body": asked["input"]["body"], "updatedAt": self.now()}
        assert asked["skipEditedAt"], "what grows is not marked as edited"
        self._note(comment)
        self._lost = fault is not None
        return {"success": True, "comment": comment}

    def _act(self, _: object, **asked: Json) -> Json:
        name = asked["input"].get("id") or str(uuid4())
        if name in self.activities:
            raise Answer(failed(200, "INPUT_ERROR", f"the id {name} is taken"))
        self.activities[name] = {**asked["input"], "id": name}
        return {"success": True, "agentActivity": self.activities[name]}

    def _note(self, comment: Json) -> None:
        entry = (time.monotonic(), comment["issue"]["id"], comment["id"], comment["body"])
        self.history.append(entry)

    def _meets(self, issue: str) -> Trouble | None:
        """The trouble with this comment. Returned is the one after which it is there."""
        trouble = next((each for each in self.troubles if each.issue in ("", issue)), None)
        if trouble is None:
            return None
        self.troubles.remove(trouble)
        match trouble.kind:
            case "rate_limited":
                raise Answer(limited(trouble))
            case "server_error":
                raise Answer(web.Response(status=502, text="<html>bad gateway</html>"))
            case "refused":
                raise Answer(failed(200, "FORBIDDEN", "You may not comment here"))
        return trouble

    async def _file(self, request: web.Request) -> web.Response:
        self.downloads += 1
        data = self.files.get(request.match_info["name"])
        if data is None or request.headers.get("Authorization") != KEY:
            return web.Response(status=404)
        return web.Response(body=data)


def limited(trouble: Trouble) -> web.Response:
    """How Linear says that this is too often."""
    reset = str(int((time.time() + trouble.retry_after) * 1000) + 1)
    name = trouble.shape.title()
    headers = {f"X-RateLimit-{name}-Remaining": "0", f"X-RateLimit-{name}-Reset": reset}
    return failed(400, "RATELIMITED", "Rate limit exceeded", headers)


def failed(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """How Linear says no."""
    errors = [{"message": message, "extensions": {"code": code, "userError": True}}]
    return web.json_response({"errors": errors}, status=status, headers=headers)


def _fits(comment: Json, wanted: Json) -> bool:
    """What a filter lets through, as far as anybody uses one here."""
    known = {"updatedAt", "id", "issue"}
    assert wanted.keys() <= known, f"a filter that is not known here: {wanted.keys() - known}"
    issue = wanted.get("issue", {})
    assert issue.keys() <= {"null", "team"}
    changed = wanted.get("updatedAt", {})
    assert changed.keys() <= {"gte", "lt"}
    since, until = changed.get("gte"), changed.get("lt")
    teams = issue.get("team", {}).get("id", {}).get("in")
    return (
        (since is None or _moment(comment["updatedAt"]) >= _moment(since))
        and (until is None or _moment(comment["updatedAt"]) < _moment(until))
        and wanted.get("id", {}).get("eq", comment["id"]) == comment["id"]
        and (teams is None or comment["issue"]["team"]["id"] in teams)
    )


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
