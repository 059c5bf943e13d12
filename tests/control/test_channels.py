from __future__ import annotations

from opencraw.errors import AccountRefused
from tests.control.serving import BEARER, Radio, serving

PATH = "/api/v1/os/channels"


async def test_every_channel_is_listed_with_what_it_can_do() -> None:
    async with serving() as served, served.client.get(PATH, headers=BEARER) as response:
        body = await response.json()
    [channel] = body["channels"]
    assert (channel["name"], channel["state"]) == ("radio", "running")
    assert channel["counts"]["refused"] == {"RATE_LIMITED": 4}
    assert body["capabilities"] == [
        {"channel_id": "radio", "supports_streaming_deltas": True, "supports_reactions": False}
    ]


async def test_a_probe_says_who_we_are_there() -> None:
    async with (
        serving() as served,
        served.client.get(f"{PATH}/radio/probe", headers=BEARER) as response,
    ):
        body = await response.json()
    assert (response.status, body["channel_id"], body["registered"]) == (200, "radio", True)
    assert (body["ok"], body["account"]) == (True, {"name": "a radio"})
    assert body["supports_streaming_deltas"]


async def test_a_probe_of_an_account_that_is_refused_says_the_next_step() -> None:
    radio = Radio()
    radio.refusal = AccountRefused("The token was revoked. Get a new one.")
    async with (
        serving(channels=radio) as served,
        served.client.get(f"{PATH}/radio/probe", headers=BEARER) as response,
    ):
        body = await response.json()
    assert (response.status, body["ok"]) == (200, False)
    assert body["problem"] == "The token was revoked. Get a new one."


async def test_a_channel_that_is_not_open_is_not_registered() -> None:
    async with (
        serving() as served,
        served.client.get(f"{PATH}/pigeons/probe", headers=BEARER) as response,
    ):
        error = (await response.json())["error"]
    assert response.status == 404
    assert error["details"] == {"channel_id": "pigeons", "registered": False}
    assert "Channels: radio" in error["message"]
