"""Examples that a team may delete."""
