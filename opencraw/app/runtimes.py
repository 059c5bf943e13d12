"""A runtime for each configured model, made when it is first asked."""

from __future__ import annotations

from opencraw.config import Configuration
from opencraw.errors import FailureKind, ModelFailure
from opencraw.gateway.models import Models
from opencraw.hooks import Hooks
from opencraw.memory.memory import Memory
from opencraw.model import Provider
from opencraw.providers import key_variable, open_provider
from opencraw.providers.settings import Profile
from opencraw.runtime.loop import Loop, LoopLimits
from opencraw.tools.memory import memory_tools
from opencraw.tools.registry import open_toolbox


class Runtimes:
    """The built-in loop around each configured model."""

    def __init__(
        self, configuration: Configuration, hooks: Hooks, memory: Memory | None = None
    ) -> None:
        llm = configuration.llm
        self._profiles = {profile.label: profile for profile in llm.profiles.values()}
        self._keys = configuration.keys
        self._toolbox = open_toolbox(
            configuration.tools, memory_tools(memory) if memory is not None else ()
        )
        self._limits = LoopLimits(
            tool_loops_max=configuration.context.tool_loops_max,
            tool_max_runtime_seconds=configuration.context.tool_max_runtime_seconds,
            max_tool_chars=configuration.context.max_tool_chars,
        )
        self._hooks = hooks
        self._providers: list[Provider] = []
        self._loops: dict[str, Loop] = {}
        self.models = Models(
            default=llm.profiles[llm.active_profile].label,
            profiles={profile.label: name for name, profile in llm.profiles.items()},
        )
        self.demo = llm.profiles[llm.active_profile].provider == "demo"

    def __call__(self, label: str) -> Loop:
        """The runtime of a model. Raises `ModelFailure` when it is not configured (any more)."""
        if label not in self._loops:
            profile = self._profiles.get(label)
            if profile is None:
                raise ModelFailure(
                    FailureKind.FORMAT,
                    f"the model {label} is not configured any more; /model chooses another",
                )
            provider = open_provider(profile, self._key(profile))
            self._providers.append(provider)
            self._loops[label] = Loop(provider, self._toolbox, self._limits, self._hooks)
        return self._loops[label]

    def _key(self, profile: Profile) -> str | None:
        variable = key_variable(profile)
        secret = getattr(self._keys, variable.lower()) if variable else None
        return secret.get_secret_value() if secret else None

    async def close(self) -> None:
        """Let go of all connections to models."""
        for provider in self._providers:
            await provider.close()
