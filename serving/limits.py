"""Limits besides those of params.yaml.

The process has 80 MB; to them come the model, the large bodies, the one that is being scored (about ten times its size
with its rows, response and lines of the log), and the queue of the log. docs/releases.md ("The service") says what a
container needs.
"""

CONNECTIONS = 1_000
IDLE_SECONDS = 75  # of a connection between two requests; longer than a proxy in front keeps one
ROW_BYTES = 65_536  # of a body of /predict
BODIES = 8  # larger bodies of the largest size that are kept at once

# The shutdown takes at most END_SECONDS. It begins DRAIN_SECONDS after SIGTERM; whatever stops the service must wait
# longer than both together before it kills the process.
ANSWER_SECONDS = 8  # until requests without a response get 503
LOG_SECONDS = 4.0  # for writing the queue of the prediction log
END_SECONDS = 14.0  # with the batch that is being scored, and the interpreter
