"""GitHub: its REST API, and the checks, the comment and the issue that verbs maintain there."""
