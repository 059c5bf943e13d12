"""Keys that moved. The old one is honoured for one minor version and refused in `prod`."""

from __future__ import annotations

from opencraw.config.environment import MODEL, Findings, choices
from opencraw.config.schema import dotted, inside
from opencraw.config.source import Document, Source
from opencraw.errors import ConfigProblem
from opencraw.providers.settings import LlmSettings, Profile

#: The profile that is made when a model is named and no profile is.
FIRST_PROFILE = "main"


def move(source: Source, findings: Findings) -> None:
    """Write moved keys where they belong now, and note how the operator can follow."""
    general = source.document.get("general")
    if not isinstance(general, dict) or "model" not in general:
        return
    where = source.where(MODEL)
    from_file = MODEL not in source.origins
    model = general.pop("model")
    name = _active(source.document)
    new = dotted(("llm", "profiles", name, "model"))
    if not isinstance(model, str):
        words = ("must be text in quotes", f"write it as {new}")
        findings.problems.append(ConfigProblem(where, dotted(MODEL), *words))
        return
    profile = _profile(source.document, name)
    if profile is None:
        return  # the file has something else there, which is refused as what it is
    if from_file and "model" in profile:
        words = (f"stands beside {new}, which replaced it", f"keep only {new}")
        findings.problems.append(ConfigProblem(where, dotted(MODEL), *words))
        return
    if from_file:
        words = ("is deprecated", f"write it as {new}")
        findings.deprecated.append(ConfigProblem(where, dotted(MODEL), *words))
    _use(source, name, profile, model, where)


def _use(source: Source, name: str, profile: Document, model: str, where: str) -> None:
    provider, slash, rest = model.partition("/")
    if slash and provider in choices(inside(Profile, "provider")):
        if profile.get("provider") != provider:
            profile.clear()  # an address or an option of one vendor means nothing to another
        profile["provider"] = provider
        source.origins["llm", "profiles", name, "provider"] = where
        model = rest
    profile["model"] = model
    source.origins["llm", "profiles", name, "model"] = where


def _active(document: Document) -> str:
    llm = document.get("llm")
    named = llm.get("active_profile") if isinstance(llm, dict) else None
    default = LlmSettings.model_fields["active_profile"].default
    return next((name for name in (named, default) if isinstance(name, str)), FIRST_PROFILE)


def _profile(document: Document, name: str) -> Document | None:
    """The active profile's table, made when there is none."""
    table = document
    for part in ("llm", "profiles", name):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            return None
    document["llm"].setdefault("active_profile", name)
    return table
