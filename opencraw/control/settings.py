"""The `[runtime]` and `[security]` sections."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, Self

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from opencraw.control.credentials import SUPPORTED_SCOPES
from opencraw.settings import Section

SHORTEST_KEY = 16
#: Words that stand in examples and in nobody's random letters.
_PLACEHOLDER = re.compile(r"(?i)change|secret|password|example|placeholder|your[-_]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://" + _HOST.pattern)


class RuntimeSettings(Section):
    """How the daemon runs and where it listens."""

    mode: Literal["dev", "prod"] = "dev"
    """dev runs with nothing configured; prod refuses to start with anything important missing."""

    data_dir: str = Field(default="data", pattern=r"^[^\x00]+$")
    """Where the daemon keeps its database, its access token and its files."""

    bind_mode: Literal["loopback", "lan", "custom"] = "loopback"
    """Who can reach the daemon: loopback (this machine), lan (any network), custom (bind_addr)."""

    bind_addr: str | None = None
    """The address to listen on with custom: an IP address, or one with a port (10.0.0.5:3000)."""

    allow_public_bind_without_auth: bool = False
    """Listen beyond this machine although no control key is configured (the access token is
    demanded all the same)."""

    http_timeout_seconds: float = Field(default=30, gt=0)
    """How long a request may take; WebSockets are exempt."""

    http_max_in_flight: int = Field(default=256, gt=0)
    """How many requests may be in work at once; more are told to come back."""

    shutdown_grace_seconds: float = Field(default=20, ge=0, le=3600)
    """How long running turns may finish when the daemon is asked to stop."""

    @field_validator("bind_addr")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            socket_address(value)
        return value

    @model_validator(mode="after")
    def _custom_says_where(self) -> Self:
        if self.bind_mode == "custom" and self.bind_addr is None:
            raise ValueError('bind_mode = "custom" needs bind_addr')
        return self

    def addresses(self) -> tuple[str, ...]:
        """The IP addresses to listen on. The first must work, the others may be missing here."""
        if self.bind_mode == "custom":
            assert self.bind_addr is not None
            return (socket_address(self.bind_addr)[0],)
        return ("0.0.0.0",) if self.bind_mode == "lan" else ("127.0.0.1", "::1")  # noqa: S104 asked for

    def port(self, usual: int) -> int:
        """The port that `bind_addr` names, or else the usual one."""
        if self.bind_mode == "custom" and self.bind_addr is not None:
            named = socket_address(self.bind_addr)[1]
            return usual if named is None else named
        return usual

    @property
    def public(self) -> bool:
        """Whether other machines can reach the daemon."""
        return not all(ipaddress.ip_address(address).is_loopback for address in self.addresses())


class ApiKey(Section):
    """A credential for a program that needs less than everything."""

    token: SecretStr
    """What the program shows; at least 16 characters."""

    scopes: list[str]
    """What it may do; an empty list grants nothing."""

    description: str = ""
    """What it is for."""

    @field_validator("token")
    @classmethod
    def _is_strong(cls, value: SecretStr) -> SecretStr:
        return _strong(value)

    @field_validator("scopes")
    @classmethod
    def _are_supported(cls, value: list[str]) -> list[str]:
        unknown = sorted(set(value) - SUPPORTED_SCOPES)
        if unknown:
            known = ", ".join(sorted(SUPPORTED_SCOPES))
            raise ValueError(f"unsupported: {unknown[0]!r}; there are {known}")
        return value


class SecuritySettings(Section):
    """Who may speak to the control plane, besides the holder of the access token."""

    # A refused section is shown to people and logged; what was wrong with a token is enough.
    model_config = ConfigDict(hide_input_in_errors=True)

    control_api_key: SecretStr | None = None
    """A credential that may do everything; at least 16 characters."""

    control_api_keys: list[ApiKey] = []
    """Credentials that may do some things: [[security.control_api_keys]] with token and scopes."""

    allowed_hosts: list[str] = []
    """Names besides our own addresses that requests may be sent to, such as a proxy's
    (assistant.example.org)."""

    allowed_origins: list[str] = []
    """Web pages besides our own that may connect, as https://page.example.org."""

    @field_validator("control_api_key")
    @classmethod
    def _is_strong(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else _strong(value)

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: list[str]) -> list[str]:
        return _all_match(_HOST, value, "a host name, or one with a port")

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        return _all_match(_ORIGIN, value, "an origin such as https://page.example.org")

    @model_validator(mode="after")
    def _no_token_is_there_twice(self) -> Self:
        tokens = [key.token.get_secret_value() for key in self.control_api_keys]
        if self.control_api_key is not None:
            tokens.append(self.control_api_key.get_secret_value())
        if len(set(tokens)) < len(tokens):
            raise ValueError("two control keys have the same token: which scopes count?")
        return self

    @property
    def has_keys(self) -> bool:
        """Whether the operator chose a credential that grants something."""
        return self.control_api_key is not None or any(key.scopes for key in self.control_api_keys)


def socket_address(text: str) -> tuple[str, int | None]:
    """Split `10.0.0.5`, `10.0.0.5:3000`, `::1` or `[::1]:3000`. Raises `ValueError`."""
    try:
        return str(ipaddress.ip_address(text)), None
    except ValueError:
        host, _, port = text.rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
            raise ValueError("not an IP address, nor one with a port") from None
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port)


def _strong(secret: SecretStr) -> SecretStr:
    """Refuse what somebody could guess, or left standing from an example."""
    token = secret.get_secret_value()
    guessable = token.isdecimal() or _PLACEHOLDER.search(token)
    if len(token) < SHORTEST_KEY or len(set(token)) < SHORTEST_KEY // 2 or guessable:
        raise ValueError(
            f"too weak: at least {SHORTEST_KEY} characters, such as `openssl rand -hex 32` prints"
        )
    if not token.isprintable() or " " in token:
        raise ValueError("a token has no spaces and no control characters")
    return secret


def _all_match(pattern: re.Pattern[str], values: list[str], meant: str) -> list[str]:
    lowered = [value.lower() for value in values]
    wrong = [value for value in lowered if pattern.fullmatch(value) is None]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not {meant}")
    return lowered
