"""The gateway, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opencraw.access.admission import Admission
from opencraw.attachments.attachments import Attachments
from opencraw.contract import Channel
from opencraw.gateway.desk import Desk
from opencraw.gateway.door import Door
from opencraw.gateway.entrance import Entrance
from opencraw.gateway.notices import Notices
from opencraw.gateway.reading import Reading
from opencraw.gateway.reception import Reception, Records
from opencraw.gateway.second_thoughts import SecondThoughts
from opencraw.platforms.traffic import Traffics
from opencraw.store.database import Database


@dataclass(frozen=True)
class OpenGateway:
    """What a daemon has of its gateway."""

    door: Door
    #: As people come in there.
    entrance: Entrance
    #: By which the daemon speaks first.
    notices: Notices
    records: Records
    #: What channels are given.
    reception: Reception


def open_gateway(
    database: Database,
    desk: Desk,
    admission: Admission,
    channels: Mapping[str, Channel],
    *,
    attachments: Attachments,
    traffics: Traffics,
) -> OpenGateway:
    """The gateway of these channels."""
    notices = Notices(desk, admission)
    entrance = Entrance.open(database, admission, channels, desk, notices)
    door = Door(desk, entrance)
    records = Records.of(database, attachments, traffics)
    reception = Reception(
        door, entrance, notices, SecondThoughts(desk), records, reader=Reading(desk)
    )
    return OpenGateway(door, entrance, notices, records, reception)
