"""A channel that is not enabled costs nothing but its settings."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: What belongs to one channel alone, by the names of packages.
LIBRARIES = {
    "telegram": {"telegram", "httpx"},
    "discord": {"discord"},
    "email": {"aioimaplib", "aiosmtplib"},
    "gmail": {"googleapiclient", "google"},
    "linear": {"gql", "graphql"},
    "http": set(),
}
_PROGRAM = """
import json, sys
from opencraw.config.channels import installed
kinds = installed()
import opencraw.app.daemon
for name in {modules}:
    __import__(name)
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def imported(*modules: str) -> set[str]:
    """The packages that a process has loaded that is ready to serve, and these modules."""
    program = _PROGRAM.format(modules=list(modules))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_a_channel_that_is_not_enabled_loads_no_library() -> None:
    loaded = imported()
    for libraries in LIBRARIES.values():
        assert not loaded & libraries


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_channel_loads_no_other_channels_library(name: str) -> None:
    loaded = imported(f"channels.{name}.channel")
    foreign = set().union(*(LIBRARIES[other] for other in LIBRARIES if other != name))
    assert not loaded & (foreign - LIBRARIES[name])
