"""What Linear's failures mean, and that nothing of ours appears twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from msgspec.structs import replace
from pydantic import SecretStr, ValidationError

from channels.linear import queries
from channels.linear.api import Api, Rejected, failure, pause
from channels.linear.channel import Linear
from channels.linear.comments import Context, derived, written
from channels.linear.outgoing import Pen
from channels.linear.settings import LinearSettings
from opencraw.contract import Address, Delivery, Line
from opencraw.errors import (
    AccountRefused,
    MaybeSent,
    NeverSendable,
    NotFound,
    NotSent,
    Refused,
    Unavailable,
)
from tests.fakes.linear import KEY, LinearServer, Trouble, id_of
from tests.fakes.serving import Service
from tests.fixtures.gateway import Unasked

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("RATELIMITED", NotSent),
        ("AUTHENTICATION_ERROR", AccountRefused),
        ("INTERNAL_SERVER_ERROR", MaybeSent),
        ("LOCK_TIMEOUT", MaybeSent),
        ("", MaybeSent),
        ("FORBIDDEN", Rejected),
        ("INPUT_ERROR", Rejected),
        ("GRAPHQL_VALIDATION_FAILED", Rejected),
    ],
)
def test_a_code_says_what_a_failure_means(code: str, means: type) -> None:
    errors = [{"message": "no", "extensions": {"code": code}}]
    assert type(failure(errors, {}, NOW)) is means


@pytest.mark.parametrize("errors", [[], ["no"], [{}], [{"extensions": None}], [None]])
def test_a_failure_without_a_code_may_have_been_a_success(errors: list[object]) -> None:
    assert type(failure(errors, {}, NOW)) is MaybeSent


def allowance(kind: str, left: int, reset: str) -> dict[str, str]:
    return {f"X-RateLimit-{kind}-Remaining": str(left), f"X-RateLimit-{kind}-Reset": reset}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (allowance("Requests", 0, "1800000012500"), 12.5),
        (allowance("complexity", 0, "1800000003000"), 3),
        (allowance("Requests", 7, "1800000012500"), 30),
        (allowance("Requests", 0, "1"), 0),
        (allowance("Requests", 0, "soon"), 30),
        (allowance("Requests", 0, "1900000000000"), 3600),
        (
            allowance("Requests", 0, "1800000001000") | allowance("Complexity", 0, "1800000002000"),
            2,
        ),
        ({}, 30),
    ],
)
def test_a_pause_is_over_when_the_allowance_is_new(headers: dict[str, str], seconds: float) -> None:
    assert pause(headers, NOW) == pytest.approx(seconds)


# Spoken to.


@pytest.fixture
async def server() -> AsyncIterator[LinearServer]:
    async with LinearServer() as server:
        yield server


def settings(server: LinearServer, **more: object) -> LinearSettings:
    section = {
        "enabled": True,
        "api_key": KEY,
        "graphql_url": f"{server.url}/graphql",
        "uploads_url": f"{server.url}/uploads",
        "request_seconds": 1.0,
    }
    return LinearSettings.model_validate({**section, **more})


@pytest.fixture
async def api(server: LinearServer) -> AsyncIterator[Api]:
    api = Api(settings(server))
    async with api.open():
        yield api


def thread(server: LinearServer) -> Address:
    issue = server.issue("a")
    root = server.says(issue, "Hello", by=server.person("a"))
    return Address("linear", "", issue["team"]["id"], f"{issue['id']}/{root['id']}")


def delivery(address: Address, text: str, **more: object) -> Delivery:
    line = Line(1, "reply", text, datetime.now(UTC), uuid4())
    return replace(Delivery(uuid4(), address, line), **more)


class Parts:
    """Notes what was told of."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def __call__(self, part: str) -> None:
        self.told.append(part)


def ours(server: LinearServer) -> list[str]:
    return [each["body"] for each in server.comments.values() if each["body"] != "@opencraw Hello"]


async def test_a_comment_whose_answer_was_lost_is_there_once(
    server: LinearServer, api: Api
) -> None:
    pen, parts, said = Pen(api, 1000), Parts(), delivery(thread(server), "Once.")
    server.troubles.append(Trouble("lost_answer"))
    with pytest.raises(MaybeSent):
        await pen.deliver(said, parts)
    await pen.deliver(said, parts)
    assert ours(server) == ["Once."]
    assert parts.told == [derived(said.delivery_id, 1)]


async def test_what_is_sent_begins_behind_the_parts_that_are_there(
    server: LinearServer, api: Api
) -> None:
    pen, parts = Pen(api, 20), Parts()
    said = delivery(thread(server), "One two three four. Five six seven eight. Nine ten.")
    await pen.deliver(said, parts)
    whole, first = ours(server), parts.told[0]
    for name in parts.told[1:]:
        del server.comments[name]
    again = Parts()
    await pen.deliver(replace(said, parts=(first,)), again)
    assert ours(server) == whole
    assert again.told == parts.told[1:]


async def test_a_draft_that_nobody_noted_is_found_again_by_its_turn(
    server: LinearServer, api: Api
) -> None:
    address, turn, pen = thread(server), uuid4(), Pen(api, 1000)
    for text in ("A draft", "A draft that grows"):
        assert await pen.draft(turn, address, text, "") == derived(turn, "draft")
    assert ours(server) == ["A draft that grows"]
    said, parts = delivery(address, "The answer."), Parts()
    await pen.deliver(replace(said, draft=derived(turn, "draft")), parts)
    assert ours(server) == ["The answer."]
    assert parts.told == [derived(turn, "draft")]


@pytest.mark.parametrize("drawn", [True, False])
async def test_a_draft_of_which_nobody_knows_becomes_the_answer_if_it_is_there(
    server: LinearServer, api: Api, drawn: bool
) -> None:
    address, turn, pen = thread(server), uuid4(), Pen(api, 1000)
    if drawn:
        await pen.draft(turn, address, "A draft", "")
    said, parts = replace(delivery(address, "The answer."), draft=None, ends=turn), Parts()
    await pen.deliver(said, parts)
    if not drawn:
        # Should it come after all, it is refused.
        await pen.draft(turn, address, "The answer.", "")
    assert ours(server) == ["The answer."]
    assert parts.told == [derived(turn, "draft")]


async def test_an_answer_whose_draft_was_deleted_is_a_comment_of_its_own(
    server: LinearServer, api: Api
) -> None:
    said = delivery(thread(server), "The answer.")
    await Pen(api, 1000).deliver(replace(said, draft=str(uuid4())), Parts())
    assert ours(server) == ["The answer."]


async def test_an_answer_in_a_session_is_an_activity_and_there_once(
    server: LinearServer, api: Api
) -> None:
    pen, session = Pen(api, 1000), id_of("session")
    said = delivery(thread(server), "Done.", reply_context=written(Context(session)))
    for _ in range(2):
        await pen.deliver(said, Parts())
    [activity] = server.activities.values()
    assert activity["content"] == {"type": "response", "body": "Done."}
    assert ours(server) == []


async def test_a_revoked_key_costs_no_message(server: LinearServer, api: Api) -> None:
    said = delivery(thread(server), "Later.")
    server.revoked = True
    with pytest.raises(NotSent, match="Linear refuses the API key"):
        await Pen(api, 1000).deliver(said, Parts())
    with pytest.raises(AccountRefused, match="LINEAR_API_KEY"):
        await api.ask(queries.VIEWER)


async def test_what_linear_forbids_is_never_sent(server: LinearServer, api: Api) -> None:
    server.troubles.append(Trouble("refused"))
    with pytest.raises(NeverSendable):
        await Pen(api, 1000).deliver(delivery(thread(server), "No."), Parts())


async def test_linear_that_cannot_be_reached_has_nothing(server: LinearServer, api: Api) -> None:
    said = delivery(thread(server), "Later.")
    await server.disconnect()
    with pytest.raises(NotSent):
        await Pen(api, 1000).deliver(said, Parts())


async def test_linear_that_says_nothing_may_have_it(server: LinearServer, api: Api) -> None:
    server.silent = True
    with pytest.raises(MaybeSent):
        await api.ask(queries.VIEWER)


async def test_a_file_is_fetched_from_linears_own_store_and_not_beyond_its_limit(
    server: LinearServer, api: Api
) -> None:
    server.files["list"] = b"Buy milk."
    assert await api.fetch(f"{server.url}/uploads/list", 9) == b"Buy milk."
    with pytest.raises(Refused):
        await api.fetch(f"{server.url}/uploads/list", 8)
    with pytest.raises(NotFound):
        await api.fetch(f"{server.url}/uploads/nothing", 100)
    asked = server.downloads
    for elsewhere in ("http://169.254.169.254/uploads/", f"{server.url}/uploadsX/list"):
        with pytest.raises(Refused):
            await api.fetch(elsewhere, 100)
    assert server.downloads == asked


def test_an_id_of_ours_looks_like_a_random_one_and_is_always_the_same() -> None:
    source = UUID(int=1)
    name = UUID(derived(source, 1))
    assert (name.version, name.variant) == (4, UUID(int=1, version=4).variant)
    assert derived(source, 1) == str(name)
    assert len({derived(UUID(int=each), part) for each in range(50) for part in range(50)}) == 2500


@pytest.mark.parametrize("change", [{"api_key": None}, {"api_key": " "}, {"webhook_secret": ""}])
def test_a_section_without_a_key_or_with_a_blank_secret_is_refused(
    server: LinearServer, change: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        settings(server, **change)


class Busy(Service):
    """Linear, or what stands before it, that wants no questions."""

    def __init__(self) -> None:
        super().__init__(0, None)
        self.questions = 0
        self.app.router.add_post("/graphql", self._ask)

    async def _ask(self, _: web.Request) -> web.Response:
        self.questions += 1
        return web.Response(status=429, text="<html>Too many</html>")


async def test_while_linear_wants_no_questions_the_channel_does_not_say_that_it_runs() -> None:
    async with Busy() as busy:
        given = {"enabled": True, "api_key": KEY, "graphql_url": f"{busy.url}/graphql"}
        linear = Linear(LinearSettings.model_validate(given))
        with pytest.raises(Unavailable, match="pause") as ended:
            async with asyncio.timeout(5):
                await linear.run(Unasked())
    assert ended.value.retry_after == 30.0
    assert busy.questions == 1


def test_the_pause_between_two_polls_is_no_silence() -> None:
    seldom = LinearSettings(api_key=SecretStr(KEY), poll_interval_ms=20_000, request_seconds=1.0)
    assert Linear(seldom).pulse.patience > 20 + 1
