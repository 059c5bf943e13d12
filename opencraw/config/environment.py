"""Environment variables laid over the file.

Three spellings name a setting: `OPENCRAW_SECTION__KEY` for every one, the documented flat names
below, and names that others chose (`ANTHROPIC_API_KEY`), which a field declares by
`FromEnvironment`. An empty variable is one that is not set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from opencraw.config.schema import ANY, PREFIX, Key, Setting, as_section, bare
from opencraw.config.source import Document, Source
from opencraw.errors import ConfigProblem

OLD_PREFIX = "OPENSHELL_"

#: The model of the active profile, wherever that is: `provider/model`, or only a model's name.
MODEL = ("general", "model")

#: Documented names that are not `SECTION__KEY`, without their prefix.
FLAT: dict[str, tuple[str, ...]] = {
    "MODEL": MODEL,
    "RUNTIME_MODE": ("runtime", "mode"),
    "DATA_DIR": ("runtime", "data_dir"),
    "BIND_MODE": ("runtime", "bind_mode"),
    "BIND_ADDR": ("runtime", "bind_addr"),
    "ALLOW_PUBLIC_BIND_WITHOUT_AUTH": ("runtime", "allow_public_bind_without_auth"),
    "HTTP_TIMEOUT_SECONDS": ("runtime", "http_timeout_seconds"),
    "HTTP_MAX_IN_FLIGHT": ("runtime", "http_max_in_flight"),
    "QUEUE_MODE": ("queue", "mode"),
    "QUEUE_MAX_CONCURRENCY": ("queue", "max_concurrency"),
    "QUEUE_LANE_BUFFER": ("queue", "cap"),
    "QUEUE_OVERFLOW_POLICY": ("queue", "drop"),
    "QUEUE_OVERFLOW_SUMMARY_MAX_MESSAGES": ("queue", "overflow_summary_max_messages"),
    "QUEUE_DEBOUNCE_MS": ("queue", "debounce_ms"),
    "CONTEXT_MAX_PROMPT_TOKENS": ("context", "max_prompt_tokens"),
    "CONTEXT_MIN_RECENT_MESSAGES": ("context", "min_recent_messages"),
    "CONTEXT_MAX_TOOL_CHARS": ("context", "max_tool_chars"),
    "CONTEXT_COMPACTION_ENABLED": ("context", "compaction_enabled"),
    "CONTEXT_COMPACTION_TRIGGER_TOKENS": ("context", "compaction_trigger_tokens"),
    "CONTEXT_COMPACTION_RETAIN_MESSAGES": ("context", "compaction_retain_messages"),
    "CONTEXT_COMPACTION_HORIZON": ("context", "compaction_horizon"),
    "CONTEXT_COMPACTION_FLUSH_MAX_CHARS": ("context", "compaction_flush_max_chars"),
    "MEMORY_ENABLED": ("memory", "enabled"),
    "CONTROL_API_KEY": ("security", "control_api_key"),
    "CONTROL_API_KEYS": ("security", "control_api_keys"),
    "TOOLS_ALLOW": ("tools", "allow"),
    "TOOLS_DENY": ("tools", "deny"),
}

#: Variables of ours that are no settings.
OTHER = frozenset({"OPENCRAW_CONFIG", "OPENCRAW_CRASHPOINT", "OPENCRAW_LOG_FORMAT"})

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True)
class Assignment:
    """One variable that sets one key. Of two for the same key the later in `rank` wins."""

    variable: str
    key: tuple[str, ...]
    value: Any
    rank: int
    #: It says that its channel is to run.
    enables: bool = False


@dataclass
class Findings:
    """What the environment said."""

    assignments: list[Assignment] = field(default_factory=list)
    problems: list[ConfigProblem] = field(default_factory=list)
    #: Problems in `prod`, warnings elsewhere.
    deprecated: list[ConfigProblem] = field(default_factory=list)


def find(environ: Mapping[str, str], known: Sequence[Setting]) -> Findings:
    """Every variable that sets something, and every one of ours that sets nothing."""
    findings = Findings()
    for variable, text in sorted(environ.items()):
        if not text or variable in OTHER:
            continue
        if variable.startswith(PREFIX):
            target = _target(variable.removeprefix(PREFIX), known)
            if target is None:
                findings.problems.append(_unknown(variable, known))
            else:
                findings.assignments.append(_assign(variable, target, text, rank=2))
        # Others use the old prefix too, so an unknown name there is not ours to refuse.
        elif target := _target(_without_old_prefix(variable), known):
            findings.assignments.append(_assign(variable, target, text, rank=1))
            findings.deprecated.append(_old(variable))
    borrowed = {setting.borrowed: setting for setting in known if setting.borrowed}
    for variable, setting in borrowed.items():
        if text := environ.get(variable, ""):
            findings.assignments.append(_assign(variable, (setting.key, setting), text, rank=0))
    findings.problems += _contradictions(findings.assignments)
    findings.assignments.sort(key=lambda assignment: assignment.rank)
    return findings


def overlay(source: Source, assignments: Iterable[Assignment]) -> None:
    """Write the variables into the document and remember where each value came from."""
    for assignment in assignments:
        table: Document = source.document
        *way, last = assignment.key
        for part in way:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):  # refused later, as what the file says here
                break
            table = inner
        else:
            table[last] = assignment.value
            source.origins[assignment.key] = assignment.variable
            if assignment.enables:
                table.setdefault("enabled", True)


def read(annotation: Any, text: str) -> Any:
    """A variable's text as the type that it is for, or as it is when it cannot be that."""
    kind = bare(annotation)
    if kind is bool:
        return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}.get(text.lower(), text)
    try:
        if kind in {int, float}:
            return kind(text)
        if get_origin(kind) is dict or as_section(kind) or text.startswith("["):
            return json.loads(text) if _structured(kind) else text
    except ValueError:
        return text
    if get_origin(kind) is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _structured(kind: Any) -> bool:
    return get_origin(kind) in {dict, list} or as_section(kind) is not None


def _target(name: str, known: Sequence[Setting]) -> tuple[Key, Setting | None] | None:
    """The key that a name without its prefix sets, and the setting behind it."""
    if name == "MODEL":
        return MODEL, None
    parts = FLAT.get(name) or tuple(name.lower().split("__"))
    for setting in known:
        if len(parts) == len(setting.key) and all(map(_fits, parts, setting.key)):
            pairs = zip(parts, setting.key, strict=True)
            return tuple(part if own == ANY else own for part, own in pairs), setting
    return None


def _without_old_prefix(variable: str) -> str:
    return variable.removeprefix(OLD_PREFIX) if variable.startswith(OLD_PREFIX) else ""


def _fits(part: str, own: str) -> bool:
    return own == ANY or part == own.replace("-", "_").lower()


def _assign(
    variable: str, target: tuple[Key, Setting | None], text: str, *, rank: int
) -> Assignment:
    key, setting = target
    names = tuple(str(part) for part in key)
    if setting is None:
        return Assignment(variable, names, text, rank)
    return Assignment(variable, names, read(setting.field.annotation, text), rank, setting.enables)


def _unknown(variable: str, known: Sequence[Setting]) -> ConfigProblem:
    names = [setting.variable for setting in known] + [PREFIX + name for name in FLAT]
    near = get_close_matches(variable, [*names, *OTHER], n=1)
    guess = f"did you mean {near[0]}?" if near else "unset it; docs/configuration.md has the names"
    return ConfigProblem(variable, "environment", "is not a variable that OpenCraw knows", guess)


def _old(variable: str) -> ConfigProblem:
    new = PREFIX + variable.removeprefix(OLD_PREFIX)
    return ConfigProblem(
        variable, "environment", f"the prefix {OLD_PREFIX} is deprecated", f"rename it to {new}"
    )


def _contradictions(assignments: Iterable[Assignment]) -> list[ConfigProblem]:
    """Two spellings of equal standing that say different things: nobody can tell which is meant."""
    seen: dict[tuple[object, ...], Assignment] = {}
    found = []
    for assignment in assignments:
        other = seen.setdefault((assignment.rank, assignment.key), assignment)
        if other.value != assignment.value:
            problem = f"says something else than {other.variable}"
            fix = f"keep one of {other.variable} and {assignment.variable}"
            key = ".".join(assignment.key)
            found.append(ConfigProblem(assignment.variable, key, problem, fix))
    return found


def choices(annotation: Any) -> list[str]:
    """The values that a type allows, when it is a list of words."""
    return [str(value) for value in get_args(bare(annotation)) if isinstance(value, str)]
