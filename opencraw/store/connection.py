"""How a connection to Postgres is made, and what its failures mean."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import asyncpg

from opencraw.errors import CannotStart
from opencraw.store.backoff import pauses

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

OLDEST_SERVER = 15

#: A connection that cannot be made in this time is tried again.
CONNECT_SECONDS = 5.0

#: The client's own limit for one statement: a server that went silent is noticed by this. It is the
#: longest of the three limits, so that a server which still answers gets to name the reason first.
COMMAND_SECONDS = 10.0

_SERVER_SETTINGS = {
    "application_name": "opencraw",
    "statement_timeout": "8s",
    "lock_timeout": "4s",
    # When this machine vanishes in the middle of a transaction, the server lets go of what it had
    # locked before others that wait for it give up, and before its node's lease is over. Between
    # two statements of ours nobody waits for anything.
    "idle_in_transaction_session_timeout": "2s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    # Every query here is short and prepared once; compiling plans costs more than it saves.
    "jit": "off",
    # A plan for these very values would be no other one, and costs as much again as its execution.
    "plan_cache_mode": "force_generic_plan",
    "timezone": "UTC",
    # Every statement here finds its rows by key. Plans are made once per connection, while tables
    # may still be empty, and kept: without these a plan that reads a whole table, harmless in the
    # first minute, would still be in use when the table has grown.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

#: What `asyncpg.connect` and `asyncpg.create_pool` are given beside the address.
ARGUMENTS: dict[str, Any] = {
    "timeout": CONNECT_SECONDS,
    "command_timeout": COMMAND_SECONDS,
    "server_settings": _SERVER_SETTINGS,
    # After a failover an old primary may still answer, read-only: ask for one that takes writes.
    "target_session_attrs": "read-write",
    # Statements are few and known: prepare each once per connection, however long its text.
    "max_cached_statement_lifetime": 0,
    "max_cacheable_statement_size": 0,
}

_TRANSIENT_CODES = frozenset(
    {
        "08",  # connection lost
        "25006",  # read only: we talk to a server that used to be the primary
        "25P03",  # our session was ended while it idled in a transaction
        "28",  # not let in; a running daemon was let in before, so an admin is at work
        "3D000",  # the database is being replaced
        "40001",  # serialisation failure
        "40003",  # outcome unknown
        "40P01",  # deadlock
        "53",  # out of disk, memory or connections
        "55P03",  # lock timeout
        "57014",  # statement timeout
        "57P",  # shut down, crashed, starting up
        "58030",  # input or output error
    }
)

#: A server that says this, or nothing at all, may be about to be ready.
_COMING_UP_CODES = frozenset({"08", "53300", "57P"})

#: After these the session itself is as good as before.
_HARMLESS_CODES = frozenset({"40001", "40P01", "53", "55P03", "57014"})

#: All that a failed connection or statement can raise.
FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_TRANSIENT_ERRORS = (
    OSError,  # includes TimeoutError
    asyncpg.InternalClientError,  # its connection broke at a moment that asyncpg did not foresee
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.TargetServerAttributeNotMatched,
)


def is_transient(error: BaseException) -> bool:
    """True if the same statement may succeed later: the fault is not in what was sent."""
    if isinstance(error, _TRANSIENT_ERRORS):
        return True
    return _has_code(error, _TRANSIENT_CODES)


def is_harmless(error: BaseException) -> bool:
    """True if the connection on which this happened is still good."""
    return _has_code(error, _HARMLESS_CODES)


def _has_code(error: BaseException, codes: frozenset[str]) -> bool:
    code = getattr(error, "sqlstate", None) or ""
    return any(code[:length] in codes for length in (2, 3, 5))


def in_words(error: BaseException) -> str:
    """What went wrong, for an operator: errors without text are named by their class."""
    if isinstance(error, TimeoutError) and not str(error):
        return "it did not answer in time"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "it is read-only"
    return str(error) or type(error).__name__


async def dial(url: str, **overrides: str) -> Connection:
    """One attempt to connect; `overrides` replace server settings of this connection."""
    arguments = ARGUMENTS | {"server_settings": _SERVER_SETTINGS | overrides}
    connection: Connection = await asyncpg.connect(url, **arguments)
    return connection


async def first_connection(url: str, *, patience: float = 30.0, **overrides: str) -> Connection:
    """Connect while the daemon starts: wait for a server that is coming up, refuse a wrong one."""
    deadline = time.monotonic() + patience
    connection = None
    for pause in pauses():
        try:
            connection = await dial(url, **overrides)
            break
        except (*FAILURES, ValueError) as error:
            coming_up = isinstance(error, OSError) or _has_code(error, _COMING_UP_CODES)
            if not coming_up or time.monotonic() + pause > deadline:
                raise CannotStart(_unreachable(error)) from error
            await asyncio.sleep(pause)
    assert connection is not None
    await _refuse_an_old_server(connection)
    return connection


def _unreachable(error: BaseException) -> str:
    return (
        f"The database cannot be used: {in_words(error)}. Without it no message can be kept, so"
        " OpenCraw does not start. Check database.url, that Postgres runs there, that it accepts"
        " writes, and that user and password are right."
    )


async def _refuse_an_old_server(connection: Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        await connection.close()
        raise CannotStart(
            f"The database server is Postgres {version.major}; OpenCraw's queries need"
            f" {OLDEST_SERVER} or later. Upgrade it, point database.url at a newer one, or leave"
            " database.url unset and OpenCraw runs its own."
        )
