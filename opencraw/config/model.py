"""The home list of sections: each is defined beside the code that it configures."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SerializeAsAny

from opencraw.bus.settings import RedisSettings
from opencraw.context.settings import ContextSettings, GeneralSettings
from opencraw.control.settings import RuntimeSettings, SecuritySettings
from opencraw.hooks.settings import HooksSettings
from opencraw.limits.settings import LimitsSettings
from opencraw.memory.settings import MemorySettings
from opencraw.providers.settings import KeySettings, LlmSettings
from opencraw.queue.settings import QueueSettings
from opencraw.sessions.settings import SessionsSettings
from opencraw.settings import ChannelSettings
from opencraw.store.settings import DatabaseSettings
from opencraw.tools.settings import ToolsSettings


class Configuration(BaseModel):
    """Everything that was decided before the start. Never changes while it is in use."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    general: GeneralSettings
    llm: LlmSettings
    keys: KeySettings
    runtime: RuntimeSettings
    database: DatabaseSettings
    redis: RedisSettings
    queue: QueueSettings
    sessions: SessionsSettings
    limits: LimitsSettings
    context: ContextSettings
    memory: MemorySettings
    tools: ToolsSettings
    hooks: HooksSettings
    security: SecuritySettings
    #: By the name of the entry point that brought each; see `opencraw.config.channels`.
    channels: dict[str, SerializeAsAny[ChannelSettings]]
