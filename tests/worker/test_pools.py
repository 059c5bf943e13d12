from __future__ import annotations

from opencraw.contract import Origin
from tests.fixtures.core import accept, envelope, running, session_of, until, voice
from tests.fixtures.script import Held
from tests.worker.bench import whole


async def test_what_nobody_waits_for_never_delays_people(database_url: str) -> None:
    jobs = [Held() for _ in range(2)]
    async with running(database_url, *jobs, max_concurrency=1, background_concurrency=2) as core:
        for number, job in enumerate(jobs):
            await core.say("tick", f"job {number}", origin=Origin.CRON)
            await job.reached.wait()
        await core.say("tick", "job 2", origin=Origin.TIMER)
        assert (await core.asked("hello")).text == "echo hello", (
            "the third job took no slot of ours"
        )
        assert core.channel.texts("job 2") == []
        for job in jobs:
            job.release()
        await whole(core)
        assert core.channel.texts("job 2") == ["echo tick"]
        rows = await core.fetch("SELECT DISTINCT pool, origin FROM turn ORDER BY pool, origin")
        assert [tuple(row) for row in rows] == [
            ("background", "cron"), ("background", "timer"), ("interactive", "channel")
        ]  # fmt: skip


async def test_people_never_delay_what_nobody_waits_for(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, max_concurrency=1, background_concurrency=1) as core:
        await core.say("think hard")
        await held.reached.wait()
        await core.say("hello", "b")
        await core.say("tick", "job", origin=Origin.WEBHOOK)
        assert await core.delivered(1, "job") == ["echo tick"]
        assert core.channel.texts("b") == []
        held.release()
        await whole(core)


async def test_a_person_who_speaks_in_the_lane_of_a_job_does_not_wait_for_other_jobs(
    database_url: str,
) -> None:
    job = Held()
    async with running(
        database_url, job, mode="collect", max_concurrency=1, background_concurrency=1
    ) as core:
        await core.say("tick", "busy", origin=Origin.CRON)
        await job.reached.wait()
        await core.say("tick", origin=Origin.CRON)
        await core.say("what do you do there?")
        assert await core.delivered(1) == ["echo what do you do there?"]
        job.release()
        await whole(core)
        [turn] = await core.fetch("SELECT pool FROM turn WHERE origin = 'channel'")
        assert turn["pool"] == "interactive"


async def test_the_line_that_a_lane_stands_in_follows_the_database(database_url: str) -> None:
    """A hint of a job came first, and nobody told of the person."""
    job = Held()
    async with running(
        database_url, job, mode="collect", max_concurrency=1, background_concurrency=1
    ) as core:
        await core.say("tick", "busy", origin=Origin.CRON)
        await job.reached.wait()
        await core.say("tick", origin=Origin.CRON)
        async with running(database_url, start=False) as other:
            await other.say("hello")
        assert await core.delivered(1) == ["echo hello"]
        job.release()
        await whole(core)


async def test_a_job_takes_no_slot_of_people_although_they_were_heard_of(
    database_url: str,
) -> None:
    """Somebody spoke and took it back: the database tells who is left."""
    async with running(database_url) as core:
        await accept(core.inbox, envelope("tick", origin=Origin.CRON))
        core.dispatcher.arrived(session_of(), voice(), Origin.CHANNEL)
        assert await core.delivered(1) == ["echo tick"]
        await whole(core)
        [turn] = await core.fetch("SELECT pool FROM turn")
        assert turn["pool"] == "background"


async def test_a_background_turn_goes_on_in_its_own_pool_after_a_restart(database_url: str) -> None:
    jobs = [Held() for _ in range(2)]
    async with running(database_url, *jobs, background_concurrency=2) as before:
        for number, job in enumerate(jobs):
            await before.say("tick", f"job {number}", origin=Origin.CRON)
            await job.reached.wait()
    again = Held()
    async with running(database_url, again, max_concurrency=1, background_concurrency=1) as after:
        await again.reached.wait()
        assert (await after.asked("hello")).text == "echo hello"
        await until(lambda: after.dispatcher._orphans.known, "the other job waits for a slot")
        again.release()
        await whole(after)
        assert len(after.channel.got) == 3
