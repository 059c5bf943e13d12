"""Files as the configured channels take them."""

from __future__ import annotations

from opencraw.app.channels import ChannelHost
from opencraw.attachments.attachments import Attachments
from opencraw.settings import AttachmentSettings
from opencraw.store.database import Database


def open_attachments(host: ChannelHost, database: Database) -> Attachments:
    """The files of this deployment. A channel whose section does not speak of any takes none."""
    sections = {
        name: getattr(each.settings, "attachments", None) for name, each in host.hosted.items()
    }
    return Attachments(
        database,
        {name: each for name, each in sections.items() if isinstance(each, AttachmentSettings)},
    )
