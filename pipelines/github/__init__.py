"""GitHub: its REST API, the review's check and comment."""
