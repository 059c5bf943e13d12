"""The models that people may choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Models:
    """What the configuration offers, by label (`provider/model`)."""

    default: str
    #: The name of the profile behind each label.
    profiles: Mapping[str, str]

    @property
    def labels(self) -> Sequence[str]:
        return list(self.profiles)

    def find(self, wanted: str) -> str | None:
        """The label that `wanted` means: a label, a profile's name or a bare model name, in any
        case. None when it is unknown or could mean two."""
        wanted = wanted.casefold()
        for label, profile in self.profiles.items():
            if wanted in (label.casefold(), profile.casefold()):
                return label
        bare = [each for each in self.profiles if each.partition("/")[2].casefold() == wanted]
        return bare[0] if len(bare) == 1 else None
