"""`rollout`: a release first gets a share of the requests, and is judged before it gets all."""
