"""Which slot has which role: what the front routes by."""

from __future__ import annotations

from dataclasses import dataclass, replace

SLOTS = ("a", "b", "c", "d")  # places for the replicas of a version: one for each role, and one that is free


@dataclass(frozen=True)
class Roles:
    """The slot of each role, and the share of requests that the canary gets.

    Attributes:
        production: gets the requests.
        previous: gets them while no replica of production works.
        canary: gets its share.
        share: in percent, with two decimals.
    """

    production: str | None = None
    previous: str | None = None
    canary: str | None = None
    share: float = 0.0

    @property
    def slots(self) -> frozenset[str]:
        """The slots that have a role."""
        return frozenset(slot for slot in (self.production, self.previous, self.canary) if slot)

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
        return Roles(production, previous, canary, self.share if canary else 0.0)

    def to_map(self) -> str:
        """Return the text of the front's map."""
        slots = {"production": self.production, "previous": self.previous, "canary": self.canary}
        lines = [f"{role} slot_{slot}" for role, slot in slots.items() if slot]
        return "\n".join([*lines, f"share {round(self.share * 100)}"]) + "\n"

    @staticmethod
    def from_map(text: str) -> Roles:
        """Read the text of a map; a line that it does not know is ignored."""
        values = dict(line.split(maxsplit=1) for line in text.splitlines() if len(line.split()) == 2)
        named = (values.get(role, "").removeprefix("slot_") for role in ("production", "previous", "canary"))
        production, previous, canary = (slot if slot in SLOTS else None for slot in named)
        share = values.get("share", "0")
        return Roles(production, previous, canary, int(share) / 100 if share.isdecimal() else 0.0)
