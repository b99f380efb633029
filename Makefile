# Every command of the project. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo run smoke engine-stop check test lock bench

PYTHON ?= python3
PYTHON_IN := var/venv/bin/python
# Two tests at a time on any machine with two cores; WORKERS=0 runs them in one process, to debug.
WORKERS ?= 2
# For one test: make test TESTS=tests/unit/audit
TESTS ?=
export PYTHON

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## make var/venv with what the product needs
	@bin/virtualenv runtime

setup-dev: ## make var/venv with what a developer needs
	@bin/virtualenv dev

demo: setup ## start everything with two sample containers, on a Docker Engine of its own
	@exec $(PYTHON_IN) manage.py demo

run: setup ## start the web server, the workers and the scheduler for the Docker Engine of this machine
	@exec $(PYTHON_IN) manage.py run

smoke: setup ## try a clone and a backup against what runs: make smoke CONTAINER=name
	@exec $(PYTHON_IN) manage.py smoke $(CONTAINER)

engine-stop: ## end the demonstration's Docker Engine and remove every trace of it
	@bin/engine destroy "$${MYCO_DATA_DIR:-var}/engine"
	@rm -f "$${MYCO_DATA_DIR:-var}/engine" # a link to a shorter path, where there was one

check: setup-dev ## style, types, layers, settings, migrations
	$(PYTHON_IN) -m ruff check
	$(PYTHON_IN) -m ruff format --check
	$(PYTHON_IN) -m mypy
	var/venv/bin/lint-imports --no-logo
	$(PYTHON_IN) manage.py check --fail-level WARNING
	$(PYTHON_IN) manage.py makemigrations --check --dry-run

test: check ## check, then every test this machine can run (MYCO_REQUIRE=engine,engines,compose,postgres,redis,browser,archivers,reports: no excuse)
	@exec $(PYTHON_IN) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(TESTS)

lock: ## renew requirements/*.txt from requirements/*.in (ARGUMENTS=--upgrade for newer versions)
	@exec bin/lock $(ARGUMENTS)

bench: setup-dev ## measure against named public commands
	@exec $(PYTHON_IN) -m bench
