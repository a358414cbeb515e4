"""The repository as git and DVC keep it: commits, tags, the release id, dvc.lock, the remote, models of the past."""
