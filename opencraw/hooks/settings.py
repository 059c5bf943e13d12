"""The `[hooks]` section."""

from __future__ import annotations

from pathlib import PurePath
from typing import Self

from pydantic import Field, field_validator, model_validator

from opencraw.hooks.hook import DEFAULT_SECONDS, LONGEST_SECONDS, OnFailure
from opencraw.hooks.points import ASKED, Point, PointName
from opencraw.settings import Section


class CommandSettings(Section):
    """A program that is run at one point."""

    point: PointName
    """When it is run."""

    command: list[str] = Field(min_length=1)
    """The program, by its whole path or by a name that PATH knows, and its arguments. No shell."""

    timeout_seconds: float = Field(default=DEFAULT_SECONDS, gt=0, le=LONGEST_SECONDS)
    """How long it may take, waiting for a place included; then it is killed."""

    on_failure: OnFailure | None = None
    """What follows when it fails. Unset: deny at before_tool_call, continue elsewhere."""

    @field_validator("command")
    @classmethod
    def _has_a_place(cls, command: list[str]) -> list[str]:
        program = command[0]
        if not program.strip() or ("/" in program and not PurePath(program).is_absolute()):
            raise ValueError("a program is named by its whole path, or by a name that PATH knows")
        if any("\0" in part for part in command):
            raise ValueError("no program can be given NUL")
        return command

    @model_validator(mode="after")
    def _denies_where_it_may(self) -> Self:
        if self.on_failure == "deny" and Point(self.point) not in ASKED:
            raise ValueError(f"at {self.point} hooks only look on; there is nothing to deny")
        return self


class HooksSettings(Section):
    """Operator code at named points of a turn's life; docs/hooks.md tells what it is told."""

    allow: list[str] = []
    """Names of installed hooks that are called, in this order; nothing else is loaded."""

    commands_at_once: int = Field(default=4, gt=0, le=1_000)
    """How many commands may run at once; the others wait."""

    commands: list[CommandSettings] = []
    """Programs that are asked, or told, in this order and after the installed hooks."""
