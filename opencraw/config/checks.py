"""What no section can know alone: rules between sections, and what `prod` demands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from opencraw.config.access import problems_of, unheard_of
from opencraw.config.channels import installed
from opencraw.config.source import Source
from opencraw.context.settings import ContextSettings
from opencraw.control.origins import is_own
from opencraw.control.settings import RuntimeSettings, SecuritySettings
from opencraw.errors import ConfigProblem
from opencraw.limits.settings import LimitsSettings
from opencraw.memory.settings import EmbeddingSettings, MemorySettings
from opencraw.providers import needs_key
from opencraw.providers.settings import KeySettings, LlmSettings, Profile
from opencraw.queue.settings import QueueSettings
from opencraw.sessions.settings import SessionsSettings
from opencraw.settings import KnowsItsName, PlatformSettings, Section
from opencraw.store.settings import DatabaseSettings

S = TypeVar("S", bound=Section)
Problems = Iterator[ConfigProblem]

#: Answers that no model gave.
DEMO = "demo"


class Valid:
    """The sections that are right in themselves. A rule about another has nothing to say yet."""

    def __init__(self, sections: Mapping[tuple[str, ...], Section], source: Source) -> None:
        self._sections = {type(section): section for section in sections.values()}
        self.by_key = sections
        self.where = source.where

    def get(self, kind: type[S]) -> S | None:
        section = self._sections.get(kind)
        return section if isinstance(section, kind) else None


def check(valid: Valid) -> list[ConfigProblem]:
    """Every broken rule."""
    rules: tuple[Callable[[Valid], Problems], ...] = (
        _access,
        _active_profile,
        _channels_of_resets,
        _compaction,
        _identity_links,
        _key_of_vectors,
        _keys_of_vendors,
        _patience,
        _prices_under_a_cap,
        _public_bind,
        _public_names,
        _pruning,
        _production,
    )
    return [problem for rule in rules for problem in rule(valid)]


def _access(valid: Valid) -> Problems:
    """Lists that let nobody in, or in which nobody can find himself."""
    for key, section in valid.by_key.items():
        if isinstance(section, PlatformSettings):
            for name, problem, fix in problems_of(key[-1], section):
                path = (*key, "access", name)
                yield ConfigProblem(valid.where(path), ".".join(path), problem, fix)


def active_profile(llm: LlmSettings) -> Profile | None:
    return llm.profiles.get(llm.active_profile)


def _active_profile(valid: Valid) -> Problems:
    llm = valid.get(LlmSettings)
    if llm is None or active_profile(llm) is not None:
        return
    name, key = llm.active_profile, ("llm", "active_profile")
    near = get_close_matches(name, list(llm.profiles), n=1)
    fix = f'did you mean "{near[0]}"?' if near else f"add [llm.profiles.{name}] with its model"
    yield ConfigProblem(
        valid.where(key), "llm.active_profile", f'there is no profile named "{name}"', fix
    )


def _patience(valid: Valid) -> Problems:
    """A model that may be silent for longer than a turn may would be taken for stuck."""
    llm, queue = valid.get(LlmSettings), valid.get(QueueSettings)
    if llm is None or queue is None:
        return
    for name, profile in llm.profiles.items():
        if profile.idle_timeout_seconds >= queue.stuck_after_seconds:
            yield ConfigProblem(
                valid.where(("queue", "stuck_after_seconds")),
                "queue.stuck_after_seconds",
                f"turns would be ended as stuck after {queue.stuck_after_seconds:g} s, while "
                f"{profile.label} may be silent for {profile.idle_timeout_seconds:g} s",
                f"set it above llm.profiles.{name}.idle_timeout_seconds, or lower that",
            )


def _compaction(valid: Valid) -> Problems:
    """What is summed up goes into memory first; and it has to begin before the window is full."""
    context, memory = valid.get(ContextSettings), valid.get(MemorySettings)
    if context is None or not context.compaction_enabled:
        return
    if memory is not None and not memory.enabled:
        yield ConfigProblem(
            valid.where(("context", "compaction_enabled")),
            "context.compaction_enabled",
            "what is summed up would be lost: memory, which keeps it, is off",
            "set memory.enabled = true, or compaction_enabled = false",
        )
    if context.compaction_trigger_tokens > context.max_prompt_tokens:
        yield ConfigProblem(
            valid.where(("context", "compaction_trigger_tokens")),
            "context.compaction_trigger_tokens",
            f"a conversation would be cut off at {context.max_prompt_tokens} tokens, long before "
            f"it is summed up at {context.compaction_trigger_tokens}",
            "set it to at most context.max_prompt_tokens",
        )


def _keys_of_vendors(valid: Valid) -> Problems:
    """A configured model without its key would fail at the first message; say so now."""
    llm, keys = valid.get(LlmSettings), valid.get(KeySettings)
    if llm is None or keys is None:
        return
    for name, profile in llm.profiles.items():
        variable = needs_key(profile)
        if variable is None or getattr(keys, variable.lower()) is not None:
            continue
        active = name == llm.active_profile
        otherwise = "set OPENCRAW_MODEL=demo/assistant for a look" if active else "remove it"
        yield ConfigProblem(
            valid.where(("llm", "profiles", name, "model")),
            f"llm.profiles.{name}",
            f"{profile.label} needs a key, and {variable} is not set",
            f"export {variable}=…, or {otherwise}",
        )


def _key_of_vectors(valid: Valid) -> Problems:
    """The vendor's own server answers nobody without a key; others may."""
    memory, keys = valid.get(MemorySettings), valid.get(KeySettings)
    if memory is None or keys is None or not (memory.enabled and memory.embedding.model):
        return
    embedding = memory.embedding
    secret = embedding.api_key or keys.openai_api_key
    own = embedding.base_url == EmbeddingSettings.model_fields["base_url"].default
    if own and not (secret and secret.get_secret_value().strip()):
        yield ConfigProblem(
            valid.where(("memory", "embedding", "model")),
            "memory.embedding.model",
            f"{embedding.model} at {embedding.base_url} needs a key, and none is set",
            "export OPENAI_API_KEY=…, name another server in base_url, or remove it",
        )


def _channels_of_resets(valid: Valid) -> Problems:
    """A rule for a channel that is not there would never be looked at."""
    sessions = valid.get(SessionsSettings)
    for name in sessions.reset_by_channel if sessions else ():
        if name in installed():
            continue
        key = ("sessions", "reset_by_channel", name)
        near = get_close_matches(name, list(installed()), n=1)
        yield ConfigProblem(
            valid.where(key),
            f"sessions.reset_by_channel.{name}",
            f"no such channel is installed; there is {', '.join(installed())}",
            f"did you mean sessions.reset_by_channel.{near[0]}?" if near else "remove it",
        )


def _identity_links(valid: Valid) -> Problems:
    """An id that no sender ever has would join nobody."""
    sessions = valid.get(SessionsSettings)
    for name, ids in (sessions.identity_links if sessions else {}).items():
        for each in ids:
            for problem, fix in unheard_of(each, installed()):
                key = ("sessions", "identity_links", name)
                yield ConfigProblem(valid.where(key), ".".join(key), problem, fix)


def _pruning(valid: Valid) -> Problems:
    """What is said is removed some days after its conversation was archived."""
    sessions = valid.get(SessionsSettings)
    if sessions and sessions.prune_after_days and not sessions.archive_after_days:
        yield ConfigProblem(
            valid.where(("sessions", "prune_after_days")),
            "sessions.prune_after_days",
            "nothing would be removed: only what is archived is, and archive_after_days is 0",
            "set sessions.archive_after_days, too, or prune_after_days = 0",
        )


def _prices_under_a_cap(valid: Valid) -> Problems:
    """What has no price cannot be counted, so a cap would not hold."""
    llm, limits = valid.get(LlmSettings), valid.get(LimitsSettings)
    if llm is None or limits is None or not limits.spend_per_day:
        return
    for name, profile in llm.profiles.items():
        if profile.provider == DEMO:
            continue
        for price in ("price_per_million_prompt_tokens", "price_per_million_completion_tokens"):
            if getattr(profile, price) is None:
                yield ConfigProblem(
                    valid.where(("limits", "spend_per_day")),
                    f"llm.profiles.{name}.{price}",
                    f"{profile.label} has no price, so limits.spend_per_day could not hold",
                    f"set it (0 if it costs nothing), or remove llm.profiles.{name}",
                )


def _public_bind(valid: Valid) -> Problems:
    runtime, security = valid.get(RuntimeSettings), valid.get(SecuritySettings)
    if runtime is None or security is None or not runtime.public:
        return
    if security.has_keys or runtime.allow_public_bind_without_auth or runtime.mode == "prod":
        return  # in prod a token is asked for on any address
    yield ConfigProblem(
        valid.where(("runtime", "bind_mode")),
        "security.control_api_key",
        "other machines could reach the daemon and no control token keeps them out",
        'export OPENCRAW_CONTROL_API_KEY=…, or set bind_mode = "loopback"',
    )


def _public_names(valid: Valid) -> Problems:
    """What a platform calls by a name that is not listed is refused before any channel hears it."""
    security = valid.get(SecuritySettings)
    for key, section in valid.by_key.items():
        if security is None or not isinstance(section, KnowsItsName):
            continue
        name = section.public_name
        if not name or name in security.allowed_hosts or is_own(name):
            continue
        yield ConfigProblem(
            valid.where(("security", "allowed_hosts")),
            "security.allowed_hosts",
            f"every call to {name} would be refused, which {'.'.join(key)} names as our address",
            f"write allowed_hosts = {json.dumps([*security.allowed_hosts, name])}",
        )


def _production(valid: Valid) -> Problems:
    runtime = valid.get(RuntimeSettings)
    if runtime is None or runtime.mode != "prod":
        return
    where = valid.where(("runtime", "mode"))
    database, security = valid.get(DatabaseSettings), valid.get(SecuritySettings)
    llm = valid.get(LlmSettings)
    if database is not None and database.url is None:
        problem = "prod needs a Postgres that somebody looks after"
        yield ConfigProblem(where, "database.url", problem, "export OPENCRAW_DATABASE__URL=…")
    if security is not None and not security.has_keys:
        problem = "prod needs a control token"
        fix = "export OPENCRAW_CONTROL_API_KEY=…"
        yield ConfigProblem(where, "security.control_api_key", problem, fix)
    profile = llm and active_profile(llm)
    if llm and profile and profile.provider == DEMO:
        key = f"llm.profiles.{llm.active_profile}.provider"
        yield ConfigProblem(where, key, "prod needs a real model, not the demo", "name a vendor's")
