"""`python -m pipelines VERB`. Only the called verb is imported, so that a light verb starts quickly."""

import argparse
import importlib
import sys

from pipelines.cli.exit_codes import end_with_code

VERBS = {
    "adopt": ("pipelines.adopt", "make this copy the repository of a table of your own, on the branch adopt"),
    "data": ("pipelines.ingest", "fetch or simulate the rows of data/"),
    "demo": ("pipelines.commands.demo", "review a worse and a better model of the default problem"),
    "repro": ("pipelines.reproduce", "reproduce the pipeline and check its outputs"),
    "verify": ("pipelines.review.verify", "train a commit's model again and compare it with dvc.lock"),
    "review": ("pipelines.review", "reproduce, compare with the base, evaluate the gates, report"),
    "check-lock": ("pipelines.commands.check_lock", "fail unless the commit holds what its tree gives"),
    "update": ("pipelines.commands.update", "merge main, discard generated files, reproduce"),
    "push": ("pipelines.commands.push", "push data and models to the DVC remote"),
    "publish": ("pipelines.publish", "publish a review in CI: commit, check, comment"),
    "github-setup": ("pipelines.publish.github_setup", "apply rulesets, labels, environment and settings to GitHub"),
    "audit": (
        "pipelines.publish.audit",
        "look for advisories of the locked packages and errors in the workflow files",
    ),
    "predict": ("pipelines.predict", "score a table with models/model.onnx"),
    "serve": ("pipelines.commands.serve", "serve the model of the work tree over HTTP"),
    "release": ("pipelines.release", "put a commit into production, or print what is there"),
    "rollout": ("pipelines.rollout", "do the next step of a canary: more requests, all, or none"),
    "rollback": ("pipelines.rollback", "revert to an earlier version on a branch, review it, open its pull request"),
    "monitor": ("pipelines.monitor", "judge the predictions and labels of production since the last pass"),
    "retrain": ("pipelines.retrain", "retrain on newer rows on a branch, review it, open or update its pull request"),
    "tune": (
        "pipelines.tune",
        "search for parameters of a candidate, write the best ones into params.yaml on a branch",
    ),
    "schema": ("pipelines.commands.schema", "print or check the JSON schema of params.yaml"),
    "template": ("pipelines.commands.template", "print which tests this copy of the template needs, and why"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m pipelines", description="The verbs of Mainline; `make help` lists the commands for people."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (module, summary) in VERBS.items():
        subparser = verbs.add_parser(verb, help=summary, description=summary)
        if argv[:1] == [verb]:
            getattr(importlib.import_module(module), "add_arguments", lambda _: None)(subparser)
    arguments = parser.parse_args(argv)
    return end_with_code(lambda: importlib.import_module(VERBS[arguments.verb][0]).run(arguments))


if __name__ == "__main__":
    sys.exit(main())
