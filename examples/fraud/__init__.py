"""The default problem: simulated card payments. A team deletes this package when it has its own table."""
