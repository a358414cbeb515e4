"""Verbs of one file each: update, push, serve, schema, audit, github-setup."""
