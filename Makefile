# The commands for people, CI and the pre-commit hook. docs/commands.md describes them.
VENV ?= .venv
MAINLINE_CACHE ?= .mainline/cache
WORKERS ?= auto
export VENV MAINLINE_CACHE
# Turn off usage reports of DVC, Evidently, MLflow, BentoML and ONNX Runtime.
export DVC_NO_ANALYTICS := 1
export ITERATIVE_DO_NOT_TRACK := 1
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
export ORT_DISABLE_TELEMETRY := 1
# Some images set this. Each stage and test would then compile all its imports and take twice as long.
unexport PYTHONDONTWRITEBYTECODE

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

bin := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))/bin
# A verb starts `dvc`, and the stages of DVC start `python`: both must be those of the environment.
run := PATH="$(bin):$$PATH" "$(bin)/python" -m
# A verb searches the root of the repository last (-P and safe_path/): a yaml.py there would otherwise replace the library.
verb := PATH="$(bin):$$PATH" PYTHONPATH="$(CURDIR)/pipelines/cli/safe_path" "$(bin)/python" -P -m pipelines
checked := pipelines serving tests testing requirements $(wildcard bench examples features)
pythons := $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3.14 python3 python)
no_python := $(if $(PYTHON),PYTHON=$(PYTHON) is not,there is no) Python 3.11 or newer$(if $(PYTHON),, on PATH). \
	Install one (Debian: apt-get install python3 python3-venv)$(if $(PYTHON),,, or pass it: make PYTHON=/path/to/python3)
# The first Python that is new enough runs requirements/install.py.
install = for p in $(pythons); do \
		"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
		exec "$$p" requirements/install.py $(1); \
	done; echo "make: $(no_python)." >&2; exit 2
pytest = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(run) pytest -n $(WORKERS) --dist loadgroup
# Run a command and print its seconds.
timed = (start=$$(date +%s); $(2); status=$$?; echo "$(1): $$(($$(date +%s) - start)) s"; exit $$status)
# Run $(1), or $(2) if this copy of the template has not changed the engine. The verb prints which, and why.
unless_unchanged = if [ "$$($(if $(ENGINE),echo engine,$(verb) template))" = team ]; then $(2); else $(1); fi
team_tests = $(pytest) -n 0 tests/team tests/engine/team_files $(ARGS)

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: review
review: setup  ## reproduce the pipeline, compare with main, write reports/review/ (BASE=revision, AGAIN=1: a new report)
	@$(verb) review $(if $(BASE),--base "$(BASE)") $(if $(AGAIN),--again)

.PHONY: test
test: setup  ## lint, types and the quick tests; in a copy with an unchanged engine, the team's tests (ENGINE=1: all)
	@$(call unless_unchanged,$(MAKE) lint && $(pytest) -m "not (repository or workflow or server or engine or watch)" $(ARGS),$(team_tests))

.PHONY: test-all
test-all: setup  ## `make test` with pre-commit's hooks and every test that needs no Docker engine and simulates no months
	@$(call unless_unchanged,$(MAKE) lint && $(call timed,hooks,SKIP=lint $(run) pre_commit run --all-files) && \
		$(pytest) -m "not (engine or watch)" $(ARGS),$(team_tests))

.PHONY: test-watch
test-watch: setup  ## run the tests that simulate months of production
	@$(call unless_unchanged,$(pytest) -m watch $(ARGS),\
		echo "The engine is unchanged: no month is simulated (ENGINE=1 runs all tests).")

.PHONY: test-workflows
test-workflows: setup workflow-tools  ## run the tests of the workflow files
	@$(pytest) tests/engine/workflows $(ARGS)

.PHONY: test-release
test-release: setup  ## run every test that needs a Docker engine
	@$(call unless_unchanged,$(MAKE) workflow-tools && \
		$(pytest) -m engine $(ARGS),\
		echo "The engine is unchanged: no image is tested (ENGINE=1 runs all tests).")

.PHONY: template
template: setup  ## in a copy: record the engine as taken from the template, so that `make test` tests the team's files only
	@$(verb) template --write

.PHONY: workflow-tools
workflow-tools: setup  ## install the tools that run and lint the workflow files in tests
	@$(run) tests.engine.workflows.install

.PHONY: adopt
adopt: setup  ## make this copy the repository of your own table: TABLE=path or URL TARGET=column (QUERY=, POSITIVE=, TASK=, DRY_RUN=1)
	@$(if $(and $(TABLE),$(TARGET)),,echo "make: adopt takes TABLE=path or URL and TARGET=column." >&2; exit 2;) \
	$(verb) adopt "$$TABLE" "$$TARGET" $(if $(QUERY),--query "$$QUERY") $(if $(POSITIVE),--positive "$$POSITIVE") \
		$(if $(TASK),--task "$$TASK") $(if $(DRY_RUN),--dry-run)

.PHONY: demo
demo: setup  ## show a review that fails and one that passes, on the default problem; branch and files stay as they are
	@$(verb) demo

.PHONY: data
data: setup  ## fetch or simulate the rows that params.yaml names, into data/
	@$(verb) data

.PHONY: repro
repro: setup  ## reproduce the pipeline without a comparison
	@$(verb) repro

.PHONY: verify
verify: setup  ## train the model of HEAD again in a scratch worktree and compare it with dvc.lock (UNRELEASED=1: unless it was released)
	@$(verb) verify $(if $(UNRELEASED),--unreleased) $(if $(BEFORE_RELEASE),--before-release)

.PHONY: check-lock
check-lock: setup  ## after a review: fail unless the commit holds the dvc.lock and reports/ that its tree gives
	@$(verb) check-lock $(if $(BOT),--bot)

.PHONY: update
update: setup  ## merge main, discard the generated files, reproduce, commit (BASE=revision)
	@$(verb) update $(if $(BASE),--base "$(BASE)")

.PHONY: push
push: setup  ## push data and models to the DVC remote of DVC_REMOTE_URL
	@$(verb) push

.PHONY: publish
publish: setup  ## in CI: publish the review in FROM=folder, whose step ended with OUTCOME, as commit, check and comment
	@$(verb) publish "$(FROM)" --outcome "$(OUTCOME)"

.PHONY: publish-fork
publish-fork: setup  ## in CI: post the report of a fork's review
	@$(verb) publish --fork

.PHONY: serve
serve: setup  ## serve the current model on http://127.0.0.1:3000 (PORT=number)
	@$(if $(PORT),PORT="$(PORT)") $(verb) serve

.PHONY: release-image
release-image: setup  ## build and push the image of this commit to IMAGE_REPOSITORY, unless it exists
	@$(verb) release image

.PHONY: release
release: setup  ## put this commit of main into production: image, smoke test, deployment, tags
	@$(verb) release run

.PHONY: release-check
release-check: setup  ## in CI: start release.yml if GitHub skipped it for this commit of main
	@$(verb) release check

.PHONY: reconcile
reconcile: setup  ## make image registry, MLflow and service equal to the tags; rebuild missing images
	@$(verb) release reconcile

.PHONY: rollout
rollout: setup  ## give the canary more requests, all, or none, as the hosts judge it (ABORT="why": end it)
	@$(verb) rollout

.PHONY: rollback
rollback: setup  ## revert to an earlier version on a branch, review it, open its pull request (TO=fraud@v1.2.0)
	@$(verb) rollback

.PHONY: monitor
monitor: setup  ## judge the predictions of production since the last pass (ACKNOWLEDGE="why": accept what it found; ACT=1: issues)
	@$(verb) monitor $(if $(ACT),--act)

.PHONY: retrain
retrain: setup  ## retrain on the rows until today on the branch `retrain`, review it, open its pull request (WHY="text")
	@$(verb) retrain

.PHONY: audit
audit: setup  ## look for advisories of the locked packages and errors in the workflow files (ISSUE=1 reports them in an issue)
	@$(verb) audit $(if $(ISSUE),--issue)

.PHONY: github-setup
github-setup: setup  ## apply rulesets, labels, environments and settings to GitHub (DRY_RUN=1 only prints them)
	@$(verb) github-setup $(if $(DRY_RUN),--dry-run)

.PHONY: predict
predict: setup  ## score a table (IN=table OUT=table HISTORY=table of earlier rows for features/prepare.py)
	@$(if $(and $(IN),$(OUT)),,echo "make: predict takes IN=table OUT=table (CSV or Parquet, a path or a URL)." >&2; exit 2;) \
	$(verb) predict "$(IN)" "$(OUT)" $(if $(HISTORY),--history "$(HISTORY)")

.PHONY: tune
tune: setup  ## search for parameters on the validation rows, commit the best ones on a branch (CANDIDATE=name TRIALS=50 or SECONDS=600)
	@$(if $(CANDIDATE),,echo "make: tune takes CANDIDATE=name." >&2; exit 2;) \
	$(verb) tune "$(CANDIDATE)" $(if $(TRIALS),--trials "$(TRIALS)") $(if $(SECONDS),--seconds "$(SECONDS)")

.PHONY: mlflow
mlflow: setup  ## show the runs logged to MLflow, on http://127.0.0.1:5000 (PORT=number)
	@[ -f mlflow.db ] || { echo "make: there is no mlflow.db yet; make review logs to it." >&2; exit 2; }
	@echo "http://127.0.0.1:$(or $(PORT),5000) (Ctrl-C ends it)"
	@$(run) mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port $(or $(PORT),5000) --workers 1

.PHONY: bench
bench: setup  ## measure the speed targets, write bench/results.json
	@$(run) bench

.PHONY: verdicts
verdicts: setup  ## measure how often reviews of equal and of worse models block, write bench/verdicts.json (half an hour)
	@OMP_NUM_THREADS=1 $(run) bench.verdicts

.PHONY: lint
lint: setup  ## check style, imports, types, workflow files, and that params.schema.json is current
	@$(call timed,lint,$(run) ruff check --quiet $(checked) && $(run) ruff format --quiet --check $(checked))
	@$(call timed,imports,imports=$$("$(bin)/lint-imports" --no-cache --no-logo) || { echo "$$imports"; false; })
	@$(call timed,types,$(run) mypy --num-workers 2 $(checked))
	@$(call timed,schema,$(verb) schema --check)
	@$(call timed,workflows,$(run) tests.engine.workflows.install && $(run) tests.engine.workflows.lint)

.PHONY: fix
fix: setup  ## fix what ruff can fix: format, import order, simple errors
	@$(run) ruff check --fix --quiet $(checked); status=$$?; $(run) ruff format $(checked) && exit $$status

.PHONY: lock
lock:  ## compile requirements/*.in to hash-pinned locks (UPGRADE=1 for newer versions)
	@uv=$$($(call install,uv)) && compile() { \
		UV_CACHE_DIR="$${UV_CACHE_DIR:-$(MAINLINE_CACHE)/uv}" "$$uv" pip compile --quiet --universal --generate-hashes \
			--python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) \
			$$2 "requirements/$$1.in" -o "requirements/$$1.txt" && echo "requirements/$$1.txt"; \
	} && compile pipelines && compile dev "--override requirements/overrides.in" && compile serving && compile uv "-c requirements/dev.txt"

.PHONY: setup
setup:  ## create the environment in VENV; other targets do it when needed
	@{ [ -z "$(PYTHON)" ] && [ -x "$(bin)/python" ] && cmp -s requirements/dev.txt "$(bin)/../.mainline-stamp"; } \
		|| { $(call install,env $(if $(PYTHON),--this-python)); }

.PHONY: hooks
hooks: setup  ## let git run `make lint` before each commit, and `dvc checkout` after a switch of branches
	@$(run) pre_commit install

.PHONY: clean
clean:  ## remove the environment, caches and generated reports; never data, models or mlflow.db
	rm -rf .venv .mainline .mypy_cache .pytest_cache .ruff_cache .hypothesis reports/review reports/monitor reports/tune dvc_plots
