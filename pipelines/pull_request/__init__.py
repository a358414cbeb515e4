"""Opening pull requests: what every verb that pushes a reviewed branch shares."""
