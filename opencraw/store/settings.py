"""Where the database is."""

from __future__ import annotations

from pydantic import SecretStr

from opencraw.settings import Section


class DatabaseSettings(Section):
    """The database: one that OpenCraw runs by itself, unless `url` names another."""

    url: SecretStr | None = None
    """Postgres 15 or later, shared by several machines; a secret. Unset: OpenCraw runs its own."""

    bin_dir: str | None = None
    """Folder that holds `postgres` and `initdb`, to use instead of those that came along."""
