"""Which persons of several channels are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: A person as one channel knows them: its name, and the id of the sender there.
Person = tuple[str, str]


class Links:
    """The operator's word for who is who. Nobody is joined with anybody unless it is said here."""

    def __init__(self, persons: Mapping[str, Sequence[str]] | None = None) -> None:
        """`persons` are lists of `channel:sender`, by a name for each person. Raises `ValueError`
        for what is no such id, and for one that two persons have."""
        self._names: dict[Person, str] = {}
        self._persons: dict[str, tuple[Person, ...]] = {}
        for name, ids in (persons or {}).items():
            self._persons[name] = tuple(_person(each) for each in ids)
            for person in self._persons[name]:
                if person in self._names:
                    raise ValueError(
                        f'"{":".join(person)}" is there twice: a person has every id once, and '
                        "shares it with nobody"
                    )
                self._names[person] = name

    def name(self, channel: str, sender: str) -> str | None:
        """What the operator calls this person, if he knows them."""
        return self._names.get((channel, sender))

    def of(self, channel: str, sender: str) -> tuple[Person, ...]:
        """All that this person is, first what was asked about, then on other channels."""
        name = self.name(channel, sender)
        known = () if name is None else self._persons[name]
        return ((channel, sender), *(each for each in known if each != (channel, sender)))


def _person(text: str) -> Person:
    channel, colon, sender = text.partition(":")
    if not (channel and colon and sender):
        raise ValueError(f'"{text}" is no person: write the channel, a colon and the sender\'s id')
    return channel, sender
