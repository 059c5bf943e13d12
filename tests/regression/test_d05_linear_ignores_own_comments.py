"""D5: the assistant answered its own comments on Linear, and its own answers to those."""

from __future__ import annotations

from pathlib import Path

from tests.channels.house import housed
from tests.channels.linear.platform import LinearPlatform
from tests.fakes.linear import ME
from tests.fixtures.core import until

#: So many events of another program are heard within a minute.
MOST_OF_A_MACHINE = 20


async def test_d05_linear_ignores_own_comments(tmp_path: Path, database_url: str) -> None:
    async with LinearPlatform() as linear, housed(linear, tmp_path, database_url) as house:
        # Even if somebody lists it among those who may talk.
        await house.open(access={"allowed_senders": [ME, f"bot:{ME}"]})
        issue = linear.server.issue("a", assignee="opencraw")
        own = linear.server.users[ME]
        linear.server.says(issue, "I talk to myself.", by=own)
        bot = {"id": ME, "name": "OpenCraw", "type": "oauth"}
        linear.server.says(issue, "And as an application.", by=None, botActor=bot)
        await linear.says("[[say Hello.]]")
        await house.sees("Hello.")
        await house.at_rest()
        assert await house.count("inbox") == 1
        # Its own answer has come back in a poll by now.
        asked = linear.server.questions.count("Comments")
        await until(lambda: linear.server.questions.count("Comments") > asked + 2)
        assert await house.count("turn") == 1


async def test_d05_two_programs_that_answer_each_other_fall_silent(
    tmp_path: Path, database_url: str
) -> None:
    async with LinearPlatform() as linear, housed(linear, tmp_path, database_url) as house:
        robot = linear.server.person("robot", app=True)
        await house.open(access={"allowed_senders": [robot["id"]]})
        issue = linear.server.issue("a")
        for number in range(MOST_OF_A_MACHINE + 10):
            linear.server.says(issue, f"[[say Again {number}.]]", by=robot)
        await until(lambda: len(linear.shown("a")) >= MOST_OF_A_MACHINE)
        await linear.says("[[say A person is heard.]]", chat="b")
        await house.sees("A person is heard.", chat="b")
        await house.at_rest()
        assert await house.count("turn") == MOST_OF_A_MACHINE + 1
