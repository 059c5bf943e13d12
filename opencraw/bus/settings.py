"""Where Redis is, if there is one."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from opencraw.settings import FromEnvironment, Section

_SCHEMES = ("redis", "rediss", "unix")


class RedisSettings(Section):
    """What several daemons on one database tell each other travels through Redis. It holds nothing
    that could be lost; without it they find the same a second later."""

    url: Annotated[SecretStr | None, FromEnvironment("HORIZONS_REDIS_URL")] = None
    """Redis 6.2 or later, as in "redis://:PASSWORD@HOST:6379/0"; a secret. Unset: none."""

    prefix: Annotated[str, FromEnvironment("HORIZONS_REDIS_KEY_PREFIX")] = Field(
        default="opencraw", min_length=1, max_length=100
    )
    """Daemons that share a database share this; those of other databases have another."""

    @field_validator("url")
    @classmethod
    def _address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        example = 'must be an address such as "redis://:PASSWORD@HOST:6379/0"'
        try:
            parts = urlsplit(url.get_secret_value())
            complete = (
                parts.scheme in _SCHEMES and (parts.hostname or parts.path) and parts.port != 0
            )
        except ValueError as error:
            raise ValueError(example) from error
        if not complete:
            raise ValueError(example)
        return url
