from __future__ import annotations

import asyncio
import logging

import pytest

from opencraw.control import readiness
from opencraw.control.readiness import Readiness, run_checks
from tests.control.serving import BEARER, serving


async def fine() -> str | None:
    return None


async def hang() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_a_check_that_fails_or_hangs_is_a_problem_of_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> str | None:
        raise RuntimeError("a detail for the log only")

    async def away() -> str | None:
        return "the database does not answer"

    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.5)
    checks = {"a": fine, "b": broken, "c": hang, "d": away, "e": hang}
    started = asyncio.get_running_loop().time()
    with caplog.at_level(logging.ERROR):
        problems = await run_checks(checks)
    assert asyncio.get_running_loop().time() - started < 0.95, "they run side by side"
    assert problems == {
        "a": None,
        "b": "the check itself failed: RuntimeError",
        "c": "no answer within 0.5 seconds",
        "d": "the database does not answer",
        "e": "no answer within 0.5 seconds",
    }
    assert "a detail for the log only" in caplog.text


async def test_a_crowd_that_asks_at_once_shares_one_look() -> None:
    looks = 0

    async def look() -> dict[str, str | None]:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.05)
        return {"database": None}

    shared = Readiness(look)
    answers = await asyncio.gather(*(shared.checks() for _ in range(500)))
    assert looks == 1
    assert all(answer == {"database": None} for answer in answers)


async def test_who_leaves_while_looking_leaves_nobody_waiting() -> None:
    entered = asyncio.Event()

    async def look() -> dict[str, str | None]:
        if not entered.is_set():
            entered.set()
            await asyncio.Event().wait()
        return {"database": None}

    shared = Readiness(look)
    first, second = (asyncio.create_task(shared.checks()) for _ in range(2))
    await entered.wait()
    first.cancel()
    assert await asyncio.wait_for(second, 2) == {"database": None}


async def test_a_look_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look() -> dict[str, str | None]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.05)
    assert await Readiness(look).checks() == {"checks": "did not finish in time"}


async def test_readiness_tells_the_truth_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.1)
    async with serving() as served:
        async with served.client.get("/ready") as response:
            assert (response.status, await response.json()) == (200, {"ready": True, "failing": []})
        served.facts.problems["database"] = "connection refused by 10.1.2.3"
        async with asyncio.timeout(2):
            while True:
                async with served.client.get("/readyz") as response:
                    if response.status == 503:
                        # A stranger learns which part fails, not why.
                        assert await response.json() == {"ready": False, "failing": ["database"]}
                        break
        async with served.client.get("/ready", headers=BEARER) as response:
            assert (await response.json())["checks"] == {
                "database": "connection refused by 10.1.2.3"
            }
        async with served.client.get("/api/v1/os/health", headers=BEARER) as response:
            assert response.status == 503
            body = await response.json()
        assert (body["status"], body["ready"]) == ("degraded", False)
        assert body["checks"]["database"] == {
            "health": "unhealthy",
            "last_error": "connection refused by 10.1.2.3",
        }


async def test_a_flood_of_probes_costs_one_look_per_second() -> None:
    async with serving() as served:

        async def probe() -> int:
            async with served.client.get("/ready") as response:
                return response.status

        started = asyncio.get_running_loop().time()
        assert set(await asyncio.gather(*(probe() for _ in range(500)))) == {200}
        seconds = asyncio.get_running_loop().time() - started
        assert served.facts.looks <= 1 + seconds


async def test_being_alive_has_nothing_to_do_with_being_ready() -> None:
    async with serving() as served:
        served.facts.problems["database"] = "away"
        for path in ("/health", "/healthz"):
            async with served.client.get(path) as response:
                assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_what_is_only_remarked_on_makes_nobody_unready() -> None:
    async with serving() as served:
        served.facts.remarked["redis"] = "it is away"
        async with served.client.get("/ready", headers=BEARER) as response:
            assert response.status == 200
            body = await response.json()
            assert (body["ready"], body["remarks"]) == (True, {"redis": "it is away"})
        async with served.client.get("/ready") as response:
            assert "remarks" not in await response.json(), "not for everybody"
        async with served.client.get("/api/v1/os/health", headers=BEARER) as response:
            assert response.status == 200
            body = await response.json()
            assert (body["status"], body["ready"]) == ("degraded", True)
            assert body["remarks"] == {"redis": "it is away"}
