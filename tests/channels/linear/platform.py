"""Linear, as the conformance suite speaks to it: a chat is an issue, and what is said there is one
thread of comments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from channels.markdown import plain
from tests.channels.platform import OTHER_GROUP, Edit, Fault, File, Platform
from tests.fakes.linear import KEY, ME, LinearServer, Trouble, id_of


class LinearPlatform(Platform):
    """Answers appear whole."""

    channel = "linear"
    limit = 1000
    shapes = ("requests", "complexity")
    drawn = False

    def __init__(self) -> None:
        self.server = LinearServer()
        self._roots: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.__aexit__()

    def settings(self) -> Mapping[str, object]:
        return {
            "api_key": KEY,
            "graphql_url": f"{self.server.url}/graphql",
            "uploads_url": f"{self.server.url}/uploads",
            "poll_interval_ms": 50,
            "request_seconds": 1.0,
            "drafts": self.drawn,
            "draft_interval_ms": int(self.interval * 1000),
            "max_message_chars": self.limit,
        }

    def person(self, name: str) -> str:
        return id_of(name)

    def group(self, name: str) -> str:
        return id_of("team other" if name == OTHER_GROUP else "team main")

    async def says(
        self,
        text: str,
        *,
        chat: str = "a",
        sender: str = "",
        mention: bool = True,
        file: File | None = None,
    ) -> str:
        name = sender or ("a" if chat.startswith("#") else chat)
        if file is not None:
            number = f"f{len(self.server.files) + 1}"
            self.server.files[number] = file.data
            text += f"\n[{file.name}]({self.server.url}/uploads/{number})"
        comment = self._comment(chat, text, self.server.person(name), mention=mention)
        key: str = comment["id"]
        return key

    def _comment(self, chat: str, text: str, by: Any, **more: Any) -> dict[str, Any]:
        issue = self._issue(chat)
        comment = self.server.says(issue, text, by=by, parent=self._roots.get(chat, ""), **more)
        self._roots.setdefault(chat, comment["id"])
        return comment

    def _issue(self, chat: str) -> dict[str, Any]:
        return self.server.issue(chat, team="other" if chat == OTHER_GROUP else "main")

    async def says_again(self, key: str, times: int = 1) -> None:
        self.server.again += [key] * times

    async def own_message(self, text: str, *, chat: str = "a") -> None:
        self._comment(chat, text, self.server.users[ME])

    def shown(self, chat: str = "a") -> list[str]:
        return [plain(each["body"]).strip() for each in self.own(chat)]

    def own(self, chat: str) -> list[dict[str, Any]]:
        """Our comments on an issue."""
        issue = id_of(f"issue {chat}")
        written = {name for _, _, name, _ in self.server.history}
        return [
            each
            for each in self.server.comments.values()
            if each["issue"]["id"] == issue and each["id"] in written
        ]

    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "requests",
    ) -> None:
        issue = self._issue(chat)["id"] if chat else ""
        trouble = Trouble(fault.value, issue, retry_after, shape or "requests")
        self.server.troubles += [trouble] * times

    async def disconnect(self) -> None:
        await self.server.disconnect()

    async def reconnect(self) -> None:
        await self.server.reconnect()

    async def rewind(self) -> None:
        self.server.again += list(self.server.comments)

    async def malformed(self) -> None:
        self._comment("broken", "Hello", self.server.person("a"), createdAt="the day before")

    async def revoke(self) -> None:
        self.server.revoked = True

    async def silent(self) -> None:
        self.server.silent = True

    async def wants_peace(self, seconds: float) -> None:
        self.server.peace = seconds

    def handed_out(self, key: str) -> float:
        return self.server.handed_out[key]

    def drafts(self, chat: str = "a") -> list[Edit]:
        issue = id_of(f"issue {chat}")
        return [Edit(at, plain(text)) for at, of, _, text in self.server.history if of == issue]

    def downloads(self) -> int:
        return self.server.downloads

    async def changes(self, key: str, text: str) -> None:
        self.server.changes(key, text)

    async def takes_back(self, key: str) -> None:
        self.server.takes_back(key)

    async def reacts(self, emoji: str, *, chat: str = "a", nth: int = -1, sender: str = "") -> None:
        names = {"👍": "+1", "👎": "-1"}
        by = self.server.person(sender or ("a" if chat.startswith("#") else chat))
        self.server.reacts(self.own(chat)[nth]["id"], names.get(emoji, emoji), by)


class LinearWithDrafts(LinearPlatform):
    """Answers grow."""

    drawn = True


PLATFORM = LinearWithDrafts
