"""What git and DVC keep: commits, tags, the release id, dvc.lock, the remote, models of past commits."""
