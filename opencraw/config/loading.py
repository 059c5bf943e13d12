"""From a file and an environment to one `Configuration`, or to every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from opencraw.config import deprecation, environment
from opencraw.config.channels import installed
from opencraw.config.checks import Valid, check
from opencraw.config.model import Configuration
from opencraw.config.problems import translate, unknown
from opencraw.config.schema import Key, Setting, sections, settings
from opencraw.config.source import Source, read
from opencraw.errors import ConfigInvalid, ConfigProblem
from opencraw.settings import Section

Roots = Mapping[tuple[str, ...], type[Section]]


@dataclass(frozen=True)
class Loaded:
    """A usable configuration and where it came from."""

    configuration: Configuration
    path: Path | None
    #: Of the file's bytes; None without a file.
    sha256: str | None
    #: What works today and will be refused one day.
    warnings: tuple[str, ...]


def load(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Defaults under the file under the environment, or `ConfigInvalid` with every problem."""
    roots = sections(installed())
    known = settings(roots)
    source = read(path)
    found = environment.find(environ, known)
    if source.problem is not None:
        # The rest of the file is unknown, so nothing can be said about what it lacks.
        raise ConfigInvalid([source.problem, *found.problems])
    environment.overlay(source, found.assignments)
    deprecation.move(source, found)
    strict = _at(source.document, ("runtime", "mode")) == "prod"
    problems = found.problems + (found.deprecated if strict else [])
    problems += _strangers(source, roots, known)
    valid, refused = _validate(source, roots, known)
    problems += refused
    problems += check(Valid(valid, source))
    if problems:
        raise ConfigInvalid(sorted(problems, key=_reading_order))
    warnings = () if strict else tuple(_as_warning(problem) for problem in found.deprecated)
    return Loaded(_assemble(valid, path), path, source.sha256, warnings)


def _strangers(source: Source, roots: Roots, known: list[Setting]) -> list[ConfigProblem]:
    """Sections that nobody reads."""
    found = []
    channels = source.document.get("channels", {})
    for name in source.document:
        names = [root[0] for root in roots]
        if name not in names and name != "channels":
            words = unknown((name,), [*names, "channels"], known)
            found.append(ConfigProblem(source.where((name,)), name, *words))
    if not isinstance(channels, dict):
        words = ("must be a table", "write [channels.<name>]")
        return [*found, ConfigProblem(source.where(("channels",)), "channels", *words)]
    installed_here = [root[1] for root in roots if root[0] == "channels"]
    for name in channels:
        if name not in installed_here:
            near = get_close_matches(name, installed_here, n=1)
            guess = f"did you mean channels.{near[0]}?" if near else "remove it or install it"
            problem = f"no such channel is installed; there is {', '.join(installed_here)}"
            key: Key = ("channels", name)
            found.append(ConfigProblem(source.where(key), f"channels.{name}", problem, guess))
    return found


def _validate(
    source: Source, roots: Roots, known: list[Setting]
) -> tuple[dict[tuple[str, ...], Section], list[ConfigProblem]]:
    """Each section by itself, so that a mistake in one hides nothing in another."""
    valid: dict[tuple[str, ...], Section] = {}
    problems: list[ConfigProblem] = []
    for root, section in roots.items():
        values = _at(source.document, root)
        if values is None and root[0] == "channels" and _required(section):
            continue  # nobody mentions this channel, so it lacks nothing
        try:
            valid[root] = section.model_validate({} if values is None else values)
        except ValidationError as error:
            problems += translate(error, root, section, source, known)
    return valid, problems


def _required(section: type[Section]) -> bool:
    return any(field.is_required() for field in section.model_fields.values())


def _at(document: Any, key: Iterable[str]) -> Any:
    value = document
    for part in key:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _assemble(valid: Mapping[tuple[str, ...], Section], path: Path | None) -> Configuration:
    channels = {root[1]: section for root, section in valid.items() if root[0] == "channels"}
    whole = {root[0]: section for root, section in valid.items() if root[0] != "channels"}
    configuration = Configuration.model_validate({**whole, "channels": channels})
    # Relative to the file, so that a command finds the daemon from every folder.
    folder = path.parent if path else Path()
    data = str((folder / Path(configuration.runtime.data_dir).expanduser()).absolute())
    runtime = configuration.runtime.model_copy(update={"data_dir": data})
    return configuration.model_copy(update={"runtime": runtime})


def _reading_order(problem: ConfigProblem) -> tuple[str, int]:
    place, _, line = problem.where.rpartition(":")
    return (place, int(line)) if line.isdecimal() else (problem.where, 0)


def _as_warning(problem: ConfigProblem) -> str:
    return f"{problem.where}: {problem.key}: {problem.problem}; {problem.fix}"
