"""What git and DVC store: commits, tags, the release id, dvc.lock, the remote, models of past commits."""
