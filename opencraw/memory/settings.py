"""The `[memory]` section."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from opencraw.settings import Section


class EmbeddingSettings(Section):
    """A model that turns texts into vectors, so that memories are found by what they mean. Without
    one they are found by their words."""

    model: str = ""
    """The model's name as its server writes it, as in "text-embedding-3-small"; empty is none."""

    base_url: str = "https://api.openai.com/v1"
    """Where it lives: any server that speaks OpenAI's /embeddings, as in "http://localhost:11434/v1"."""

    api_key: SecretStr | None = None
    """Its key, where that is another than keys.openai_api_key."""

    query_timeout_seconds: float = Field(default=0.3, gt=0, le=10)
    """A question is searched for by its words alone when its vector takes longer."""

    timeout_seconds: float = Field(default=30, gt=0)
    """How long the vectors of a batch of memories may take, in the background."""

    min_similarity: float = Field(default=0.25, ge=-1, le=1)
    """What is less like the question is not brought up (1 is the same, 0 has nothing to do with it)."""  # noqa: E501 - one line of help

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError('must be a web address such as "http://localhost:11434/v1"')
        if parts.username or parts.password:
            raise ValueError("must not carry a password; keys belong in the environment")
        if parts.query or parts.fragment:
            raise ValueError("must end with its path, without ? or #")
        return url.rstrip("/")


class MemorySettings(Section):
    """What the assistant knows beyond a conversation."""

    enabled: bool = False
    """Whether the assistant remembers people beyond what a conversation shows."""

    embedding: EmbeddingSettings = EmbeddingSettings()
    """What finds memories by their meaning."""
