"""The files of a message, as claims: what they are called, and by what Telegram knows them."""

from __future__ import annotations

from collections.abc import Iterator

from channels.telegram.updates import File, Message, PhotoSize
from opencraw.contract import Attachment


def attachments(message: Message, most_bytes: int) -> Iterator[Attachment]:
    """What came with a message. A photo is there in several sizes: the largest that the limits
    allow is taken, or else the smallest, about which the person is told that it is too large."""
    number = message.message_id
    if message.photo:
        photo = _size(message.photo, most_bytes)
        yield Attachment(f"photo-{number}.jpg", "image/jpeg", photo.file_id, photo.file_size)
    if message.voice is not None:
        yield _attachment(message.voice, f"voice-{number}.ogg", "audio/ogg")
    if message.audio is not None:
        yield _attachment(message.audio, f"audio-{number}.mp3", "audio/mpeg")
    if message.video is not None:
        yield _attachment(message.video, f"video-{number}.mp4", "video/mp4")
    if message.video_note is not None:
        yield _attachment(message.video_note, f"video-{number}.mp4", "video/mp4")
    if message.animation is not None:
        # Telegram says `document`, too, for programs from before there were animations.
        yield _attachment(message.animation, f"animation-{number}.mp4", "video/mp4")
    elif message.document is not None:
        yield _attachment(message.document, f"document-{number}", "application/octet-stream")


def _attachment(file: File, name: str, content_type: str) -> Attachment:
    return Attachment(
        file.file_name or name, file.mime_type or content_type, file.file_id, file.file_size
    )


def _size(sizes: list[PhotoSize], most_bytes: int) -> PhotoSize:
    ascending = sorted(sizes, key=lambda size: size.width * size.height)
    fitting = [size for size in ascending if (size.file_size or 0) <= most_bytes]
    return fitting[-1] if fitting else ascending[0]
