"""The speed targets, measured: `make bench` (or `python -m bench NAME...`). Every subject is a file of its own."""
