# Two commands on a fresh machine: `make demo` and `make test`. Nothing but Python, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DAYS   ?= 30
export UV_COMPILE_BYTECODE = 1
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

.PHONY: help demo test slow soak faults lint docs readme lock clean

help:            ## what there is
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# A stamp is written last, so an interrupted installation is taken up again.
$(VENV)/.platform: requirements.lock pyproject.toml
	@$(PYTHON) scripts/install.py $(VENV) requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml
	@$(PYTHON) scripts/install.py $(VENV) requirements-dev.lock
	@touch $@ $(VENV)/.platform

demo: $(VENV)/.platform   ## install, then data -> model -> gate -> serve -> audit on synthetic nuclei
	@$(BIN)/segtrail demo

test: $(VENV)/.dev   ## install with the test extras, then run the test suite
	$(BIN)/python -m pytest -m "not real_data" -n logical --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder $(ARGS)

slow: $(VENV)/.dev   ## what needs the real data sets or takes long: tests and README commands
	$(BIN)/python -m pytest -m "real_data" $(ARGS)
	$(BIN)/python scripts/readme_commands.py slow

soak: $(VENV)/.dev   ## a simulated month of operations (about an hour); DAYS=7 for a week
	$(BIN)/python -m scripts.soak --days $(DAYS) --out build/soak.html

faults: $(VENV)/.dev   ## break what segtrail runs on, case by case, and check what comes of it
	$(BIN)/python -m scripts.faults $(ARGS)

lint: $(VENV)/.dev   ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev   ## the documentation as a site, in build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "build/site/index.html"

readme: $(VENV)/.dev   ## the commands of README and docs that are not marked slow
	$(BIN)/python scripts/readme_commands.py quick

lock: $(VENV)/.dev   ## resolve the dependencies anew, for Python 3.11 to 3.13
	$(BIN)/python scripts/lock.py

clean:           ## remove tools' caches and logs; data, artifacts, models, MLflow and the ledger stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf .segtrail/infra .segtrail/load-test .segtrail/champion-scores .segtrail/*.log
