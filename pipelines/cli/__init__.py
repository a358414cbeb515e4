"""What every command shares: errors with exit codes, progress, writing files, starting another verb."""
