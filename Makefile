# make demo            one real order the whole way, then serve until Ctrl-C (ONCE=1: exit instead)
# make test            everything a change must pass, on the default interpreter; what CI runs
# make test-all        the tests on each Python from 3.11 to 3.13 that is found
# make check           types, lint and import rules only
# make bench           measure (BENCH="--seconds 10" and the like)
# make chaos           every fault we promise to survive, at length: processes killed, brokers and databases restarted, links cut
# make lock            renew constraints.txt from what is installed

# The system's own first: distributions build it optimised by profile, a third faster than a build by hand usually is.
PYTHON := $(shell for p in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
BENCH ?=
PACKAGES := gateway adapters plugins config protocols core
CHAOS ?=

.PHONY: demo test test-all check bench fuzz chaos lock clean

$(VENV)/.ready: setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, with venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/uip demo $(if $(ONCE),--once)

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	tests/toolkits/install
	@$(BIN)/python -m compileall -q $(PACKAGES)  # the tests start many processes, and not every machine keeps what it compiles
	$(BIN)/python -m pytest

test-all: $(VENV)/.ready
	tests/all-pythons

bench: $(VENV)/.ready
	$(BIN)/uip bench $(BENCH)

fuzz: $(VENV)/.ready
	$(BIN)/python -m tests.fuzz 100000

chaos: $(VENV)/.ready
	$(BIN)/python -m tests.chaos --length 3 $(CHAOS)

lock: $(VENV)/.ready
	{ $(BIN)/python -m pip freeze --exclude-editable; echo 'legacy-cgi==2.6.4; python_version>="3.13"'; } | LC_ALL=C sort -f > constraints.txt

clean:
	rm -rf $(VENV) .venvs .make demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
