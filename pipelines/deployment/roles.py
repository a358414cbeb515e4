"""Which slot has which role: what the front routes by."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

SLOTS = ("a", "b", "c", "d")  # places for the replicas of a version: one for each role, and one that is free


@dataclass(frozen=True)
class Roles:
    """The slot of each role.

    Attributes:
        production: gets the requests.
        previous: gets them while no replica of production works.
        canary: gets its share (`Front.set_share`).
    """

    production: str | None = None
    previous: str | None = None
    canary: str | None = None

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots that have a role, production's first."""
        return tuple(slot for slot in (self.production, self.previous, self.canary) if slot)

    def promote(self, slot: str, keep_previous: bool) -> Roles:
        """Return the roles after a slot took over production.

        If it was the previous one, production went back: the version that it went back from is no reserve.
        """
        if slot == self.production:
            return self if keep_previous else replace(self, previous=None)
        previous = self.production if keep_previous and slot != self.previous else None
        return Roles(slot, previous, None if slot == self.canary else self.canary)

    def to_map(self) -> str:
        """Return the text of the front's map."""
        return "".join(f"{role} slot_{slot}\n" for role, slot in asdict(self).items() if slot)

    @staticmethod
    def from_map(text: str) -> Roles:
        """Read the text of a map; a line that it does not know is ignored."""
        return Roles(**dict(re.findall(r"^(production|previous|canary) slot_([abcd])$", text, re.MULTILINE)))
