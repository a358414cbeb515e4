"""params.yaml as typed, strict, frozen objects: one module for each section, `params.py` for the whole file."""
