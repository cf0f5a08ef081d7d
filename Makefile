# The verbs of this repository. Each sets up .venv by itself on a bare machine; a second call starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.PHONY: help setup demo bundled-us test test-fast lint format docs docs-check
help:
	@echo "make setup | demo | bundled-us | test | test-fast | lint | format | docs | docs-check"

setup: $(INSTALLED)

# torch comes first and alone: its build (CPU or CUDA) is a choice of the index, not of our dependants.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt torch==2.13.0
	$(BIN)/pip install -c constraints.txt -e '.[train,dev,docs,export]'
	touch $@

demo: setup
	$(BIN)/anymod demo --out demo --workers 2

# The model that the demo shows, from nothing: about an hour on two cores. A second call goes on where the first was stopped.
# A trial of a few minutes: make bundled-us OPERATIONS=6 TRAIN='--set training.steps=4'
OPERATIONS ?= 80
bundled-us: setup
	[ -f scratch/operations/cohort.yaml ] || $(BIN)/anymod simulate --out scratch/operations --modalities us,t2,cet1,flair \
	  --spacing 1 --subjects $(OPERATIONS) --seed 1000 --tumours 0.9 --validation 0.08 --test 0 --workers 2
	$(BIN)/anymod train --config configs/simulated-us.yaml --cohort scratch/operations --out scratch/simulated-us --processes 2 --resume $(TRAIN)

# Two processes with one thread each: no fight for cores, and sums in the same order on every machine.
# A crash ends the run: with a new process in its place, pytest-xdist may wait for ever.
# Bytecode is kept whatever the shell says: the processes that tests start would compile the package each.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --max-worker-restart=0
test: setup
	$(PYTEST)

# Without the tests marked slow: under a minute.
test-fast: setup
	$(PYTEST) -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, in site/. Broken links and anchors, pages that are not in the navigation and API pages without a name are errors.
docs: setup
	mkdir -p build
	$(BIN)/typer anymod.cli utils docs --name anymod --output build/command-line.md
	sed -i -e '/^\x08$$/{N;s/.*/**Example**:\n\n```bash/;:a;n;/^$$/!ba;s/^$$/```\n/}' build/command-line.md  # \x08 keeps lines in a terminal
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	! grep -L doc-heading site/reference/api/*.html | grep .

docs-check: setup
	$(BIN)/pytest -q tests/test_docs.py
