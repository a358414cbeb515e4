"""The default problem: card payments of a simulated world. A team deletes it when it brings its own table."""
