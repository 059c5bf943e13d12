"""A mail as Gmail tells it in parts."""

from __future__ import annotations

import base64
from email.message import EmailMessage, MIMEPart
from typing import Any


def part(
    message: EmailMessage | MIMEPart, attachments: dict[str, bytes], name: str = ""
) -> dict[str, Any]:
    """A part with all below it, counted from zero. What lies in a file goes to `attachments`, under
    an id that is another one each time; the rest comes along."""
    about: dict[str, Any] = {
        "partId": name,
        "mimeType": message.get_content_type(),
        "filename": message.get_filename() or "",
    }
    if message.get_content_maintype() == "multipart":
        prefix = f"{name}." if name else ""
        about["parts"] = [
            part(inner, attachments, f"{prefix}{number}")
            for number, inner in enumerate(message.iter_parts())
        ]
        return about | {"body": {"size": 0}}
    data = _content(message)
    if not about["filename"]:
        letters = base64.urlsafe_b64encode(data).decode()
        return about | {"body": {"size": len(data), "data": letters}}
    attachment_id = f"ANGj-{len(attachments)}"
    attachments[attachment_id] = data
    return about | {"body": {"size": len(data), "attachmentId": attachment_id}}


def _content(message: EmailMessage | MIMEPart) -> bytes:
    if message.get_content_type() == "message/rfc822":
        return bytes(message.get_content())
    data = message.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
