"""Verbs of one file each."""
