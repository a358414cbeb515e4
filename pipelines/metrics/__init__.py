"""Metrics: a row of `table.py` each, computed on weighted rows, with bootstrap intervals."""
