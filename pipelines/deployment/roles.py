"""Which slot has which role: what the front routes by."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        return replace(self.without(slot), production=slot, previous=previous)

    def without(self, slot: str) -> Roles:
        """Return the roles after a slot lost its role."""
        production, previous, canary = (
            None if held == slot else held for held in (self.production, self.previous, self.canary)
        )
        return Roles(production, previous, canary)

    def to_map(self) -> str:
        """Return the text of the front's map."""
        slots = {"production": self.production, "previous": self.previous, "canary": self.canary}
        return "".join(f"{role} slot_{slot}\n" for role, slot in slots.items() if slot)

    @staticmethod
    def from_map(text: str) -> Roles:
        """Read the text of a map; a line that it does not know is ignored."""
        values = dict(line.split(maxsplit=1) for line in text.splitlines() if len(line.split()) == 2)
        named = (values.get(role, "").removeprefix("slot_") for role in ("production", "previous", "canary"))
        production, previous, canary = (slot if slot in SLOTS else None for slot in named)
        return Roles(production, previous, canary)
