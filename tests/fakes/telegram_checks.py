"""What the Bot API's own types say of our requests, and of the updates that the fake hands out.

The types are those of another library than the adapter's, generated from the API's documentation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiogram import methods
from aiogram.methods import TelegramMethod
from aiogram.types import Update
from pydantic import ValidationError

_PLAIN = {"text", "caption", "url", "secret_token", "callback_query_id", "file_id"}


class Objection(Exception):
    """The request is not what the API's documentation says."""


def checked(method: str, sent: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a call in their own types. Raises `Objection`."""
    kind = getattr(methods, method[:1].upper() + method[1:], None)
    if not isinstance(kind, type) or not issubclass(kind, TelegramMethod):
        raise Objection(f"there is no method {method}")
    if unknown := sent.keys() - kind.model_fields.keys():
        raise Objection(f"{method} has no {sorted(unknown)}")
    values = {name: _value(name, value) for name, value in sent.items()}
    try:
        # A method of theirs would be sent if it were awaited.
        _ = kind.model_validate(values)
    except ValidationError as error:
        raise Objection(f"{method}: {error}") from error
    return values


def check_update(update: Mapping[str, Any]) -> None:
    """Raises `ValidationError` for an update that Telegram would never send."""
    Update.model_validate(update)


def _value(name: str, value: str) -> Any:
    if name in _PLAIN:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
