"""What the service manager is told fits what the daemon does."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from opencraw.app import LAST_SECONDS
from opencraw.cli import CONFIGURATION
from opencraw.control.settings import RuntimeSettings

UNIT = Path(__file__).parents[2] / "deploy" / "opencraw.service"


def service() -> dict[str, str]:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    return dict(unit["Service"])


def test_a_refused_configuration_is_not_tried_again() -> None:
    assert int(service()["RestartPreventExitStatus"]) == CONFIGURATION == 78
    assert service()["Restart"] == "always"


def test_the_service_manager_waits_until_a_polite_stop_has_ended() -> None:
    longest = RuntimeSettings().shutdown_grace_seconds + LAST_SECONDS
    assert float(service()["TimeoutStopSec"]) > longest
