"""D20: an empty scope list was all-powerful, and reading needed no credential at all."""

from __future__ import annotations

import re

from opencraw.control.settings import ApiKey, SecuritySettings
from tests.control.serving import code_of, every_route, serving

EMPTY = "a-key-without-any-scope-0123"
READER = "a-key-that-reads-everything-0"


async def test_d20_empty_scopes_grant_nothing() -> None:
    security = SecuritySettings(
        control_api_keys=[
            ApiKey.model_validate({"token": EMPTY, "scopes": []}),
            ApiKey.model_validate({"token": READER, "scopes": ["control:read"]}),
        ]
    )
    async with serving(security) as served:
        guarded = [route for route in every_route(served.facts) if not route.public]
        assert any(route.method == "GET" for route in guarded)
        for route in guarded:
            headers = {"Authorization": f"Bearer {EMPTY}"}
            path = re.sub(r"\{\w+\}", "something", route.path)
            url = f"http://{served.authority}{path}"
            async with served.client.request(route.method, url) as response:
                assert response.status == 401
            async with served.client.request(route.method, url, headers=headers) as response:
                assert response.status == 403
                assert await code_of(response) == "missing_required_scope"
                details = (await response.json())["error"]["details"]
                assert details == {"required_scope": route.scope}
        # The neighbour with one scope gets exactly that far.
        headers = {"Authorization": f"Bearer {READER}"}
        async with served.client.get("/api/v1/os/status", headers=headers) as response:
            assert response.status == 200
        # What a stranger may see is not more for somebody without scopes.
        headers = {"Authorization": f"Bearer {EMPTY}"}
        async with served.client.get("/ready", headers=headers) as response:
            assert set(await response.json()) == {"ready", "failing"}
