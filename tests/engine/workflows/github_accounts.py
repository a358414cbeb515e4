"""The repository, users and tokens of the fake GitHub."""

REPOSITORY = "acme/fraud"
FORK = "mallory/fraud"
BOT = "github-actions[bot]"
DEPENDABOT = "dependabot[bot]"
# Long, and of no real token's form, so that neither act's masking nor a secret scanner takes words of a log for it.
TOKEN = "fake-token-of-the-workflow-0123456789abcdef"
ALICE = "fake-token-of-alice-0123456789abcdef"
BOB = "fake-token-of-bob-0123456789abcdef"
MALLORY = "fake-token-of-mallory-0123456789abcdef"
DEPENDABOTS = "fake-token-of-dependabot-0123456789abcdef"
SEED = {
    "tokens": {
        TOKEN: {"login": BOT, "scopes": ["repo"]},
        ALICE: {"login": "alice", "scopes": ["repo"]},
        BOB: {"login": "bob", "scopes": ["repo"]},
        MALLORY: {"login": "mallory", "scopes": ["repo"]},
        DEPENDABOTS: {"login": DEPENDABOT, "scopes": ["repo"]},
    },
    "github": {
        "users": [{"login": login} for login in (BOT, DEPENDABOT, "alice", "bob", "mallory")],
        "orgs": [
            {
                "login": "acme",
                "members": [
                    {"login": "alice", "role": "admin"},
                    {"login": "bob", "role": "admin"},
                    {"login": BOT, "role": "admin"},
                    {"login": DEPENDABOT, "role": "admin"},
                ],
            }
        ],
        "repos": [{"owner": "acme", "name": "fraud", "auto_init": True}],
    },
}
