# Two commands matter: `make book` and `make test`. Each target makes the virtual environment when it is missing.

PYTHON ?= python3
VENV ?= .venv
PROFILE ?= cpu
PORT ?= 8000
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
# One process a core, a file at a time in each: the cells of a notebook need one kernel, and threads would only wait.
PARALLEL ?= -n auto --dist loadscope

.DEFAULT_GOAL := help
.PHONY: help book test serve lab sync bench clean colab venv

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Settings: PYTHON=$(PYTHON) PROFILE=$(PROFILE) PORT=$(PORT) ARGS='--only spins --jobs 2'"

venv: $(READY) ## make the virtual environment

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"$(PYTHON) is Python {v[0]}.{v[1]}, expected 3.11, 3.12 or 3.13: run make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY) ## execute every lesson whose inputs changed and build the book (PROFILE=cpu)
	$(BIN)/python -m book.build --profile $(PROFILE) $(ARGS)

test: $(READY) ## lint, tests, every notebook under nbval, the book at the ci profile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MEDLAB_PROFILE=ci $(BIN)/python -m book.build --profile ci --strict
	MEDLAB_PROFILE=ci MEDLAB_PUBLISH=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --nbval-lax notebooks $(PARALLEL) $(ARGS)

serve: $(READY) ## show the built book at http://localhost:$(PORT)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lab: $(READY) ## open the lessons in JupyterLab
	$(BIN)/jupyter lab notebooks

sync: $(READY) ## write each lesson's .ipynb, exercises and checked outputs from its .py
	$(BIN)/python -m book.sync $(ARGS)

bench: $(READY) ## measure against peers, side by side
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file $(ARGS) || exit 1; done

colab: ## run every lesson at the ci profile with the Python that is there (Colab, a hub), its torch kept
	$(PYTHON) -m pip install --quiet ".[book,test]"
	MEDLAB_PROFILE=ci MEDLAB_PUBLISH=1 $(PYTHON) -m pytest --nbval-lax notebooks

clean: ## remove what was built; the virtual environment stays
	rm -rf _build .pytest_cache .ruff_cache .hypothesis *.egg-info
