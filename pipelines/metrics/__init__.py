"""Metrics of `table.py`, computed on weighted rows, with bootstrap intervals."""
