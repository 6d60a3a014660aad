# `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup run test lint lock bench-registration clean
PYTHON_IN_VENV := .venv/bin/python
# Each of the two has its own database, Redis and browser; a file's tests stay together, with what they share.
TWO_AT_A_TIME := -n 2 --dist loadfile --no-loadscope-reorder

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 22

setup: ## Install what running needs into .venv and node_modules
	@scripts/setup

run: setup ## Start SlidePair and print a login link; Ctrl-C stops it
	@exec $(PYTHON_IN_VENV) manage.py up $(if $(PORT),--port $(PORT))

test: ## Install what the tests need, then run them all
	@scripts/setup --test
	@$(PYTHON_IN_VENV) -m pytest $(TWO_AT_A_TIME) $(ARGS)

lint: ## Formatting, types, import contracts, templates, migrations
	@scripts/setup --test
	@scripts/lint

lock: ## Write the requirements locks anew from pyproject.toml
	@scripts/lock

bench-registration: ## Accuracy and speed of the registration methods and their peers
	@scripts/setup --test
	@scripts/setup-benchmark
	@$(PYTHON_IN_VENV) -m benchmarks.registration $(ARGS)

clean: ## Remove what was installed and built; keeps var/, your data
	rm -rf .venv node_modules bench-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
