"""What can go wrong, sorted by what the catcher does next.

OpenCrawError
├── Refused            say no to the caller, who must change something
│   ├── Unauthorised   … who must show a credential
│   ├── Forbidden      … whose credential does not reach this far
│   ├── NotAdmitted    … who is a stranger here, and is told so at most once
│   ├── NotFound       … who named something that is not there
│   └── SlowDown       … who is too fast, and may come back `retry_after` seconds from now
├── Unavailable        ask the caller to come back; nothing is lost
│   └── QueueFull      … when there is less to do
├── ConfigInvalid      do not start; print every problem at once
├── CannotStart        do not start; print the cause and the fix
│   └── NotInstalled   … which the configuration asks for, so trying again does not help
├── AccountRefused     a platform refuses our account: no retry helps, an operator does
├── Fenced             somebody else owns this work now: stop, leave no trace
├── ModelFailure       a model did not answer; `kind` says whether trying again helps
└── DeliveryFailure    a platform did not take a message
    ├── NotSent        certainly not delivered; `retry_after` seconds from now it may be
    ├── MaybeSent      the outcome is unknown
    └── NeverSendable  no retry can help
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum


def is_word_to_end(error: BaseException) -> bool:
    """Whether this is somebody's word to the task that runs. A `CancelledError` that it meets while
    nobody cancelled it is none: what it called has lost a task of its own, and that is a defect."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class OpenCrawError(Exception):
    """Anything OpenCraw raises on purpose. The text is fit for a person to read."""


class Refused(OpenCrawError):
    """The request is wrong and would be wrong again.

    `code` is one of the registered error codes that programs may match on.
    """

    status = 400

    def __init__(self, message: str, *, code: str = "INVALID_REQUEST") -> None:
        super().__init__(message)
        self.code = code


class Unauthorised(Refused):
    """No credential, or one that nobody issued."""

    status = 401


class Forbidden(Refused):
    """A known credential without the scope this needs."""

    status = 403


class NotAdmitted(Refused):
    """The sender is not let in. Whoever offered the message acknowledges it and says nothing: what
    there is to say to a stranger has been said. `code` tells why."""

    status = 403


class NotFound(Refused):
    """The thing named does not exist, or not for this caller."""

    status = 404

    def __init__(self, message: str, *, code: str = "NOT_FOUND") -> None:
        super().__init__(message, code=code)


class SlowDown(Refused):
    """The caller does this too often. `retry_after` is in seconds."""

    status = 429

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, code="RATE_LIMITED")
        self.retry_after = retry_after


class Unavailable(OpenCrawError):
    """Something we depend on is away. `retry_after` is in seconds."""

    status = 503
    code = "SERVICE_UNAVAILABLE"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(Unavailable):
    """As much as may wait is waiting already."""

    code = "QUEUE_FULL"


@dataclass(frozen=True)
class ConfigProblem:
    """One thing wrong with the configuration, and how to mend it.

    `where` is `file:line` or the name of an environment variable.
    """

    where: str
    key: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.problem}\n    fix: {self.fix}"


class ConfigInvalid(OpenCrawError):
    """The configuration cannot be used. Carries all problems, not the first."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"configuration refused: {count}", *map(str, problems)]))
        self.problems = problems


class CannotStart(OpenCrawError):
    """The daemon must not start like this. The text names the cause, the impact and the fix."""


class NotInstalled(CannotStart):
    """The configuration names something that this machine does not have."""


class AccountRefused(OpenCrawError):
    """A platform refuses our account: a token was revoked, a permission is missing. The text names
    the cause and the next step; nothing is lost, and trying again soon does not help."""


class Fenced(OpenCrawError):
    """This attempt lost its turn to a newer one; none of its effects may be written."""


class FailureKind(StrEnum):
    """Why a model did not answer, in the order in which causes are told apart."""

    BILLING = "billing"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    CONTEXT_OVERFLOW = "context_overflow"
    #: The provider refused the request, or answered what its protocol does not allow.
    FORMAT = "format"
    #: The connection broke before or during the answer.
    UNREACHABLE = "unreachable"
    #: The model was not asked: the day's money is spent.
    SPEND_CAP = "spend_cap"


class ModelFailure(OpenCrawError):
    """A model call failed. `retry_after` is the provider's own wish, in seconds."""

    def __init__(
        self, kind: FailureKind, message: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class DeliveryFailure(OpenCrawError):
    """A platform did not confirm a message."""


class NotSent(DeliveryFailure):
    """The platform certainly did not take it; sending again is safe."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MaybeSent(DeliveryFailure):
    """The platform may have taken it: the connection broke after the request had left."""


class NeverSendable(DeliveryFailure):
    """The platform will not take this message however often it is sent."""
