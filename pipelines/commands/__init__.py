"""Verbs of one file each: update, push, serve, schema, template, audit, github-setup."""
