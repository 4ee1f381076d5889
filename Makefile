# make demo    build in .venv and run the example on asyncio and on fastloop
# make test    the same environment, then the tests: some four minutes
# make lint    formatting, static checks and sizes
# make clean   remove what these made
# make help    this text
#
# PYTHON=python3.13 chooses another interpreter; PYTEST=-x is given to pytest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Another Python is another environment, also one of the same name.
NAME := $(shell $(PYTHON) tools/preflight.py --name 2>/dev/null)
ENVIRONMENT := $(VENV)/.made-by-$(NAME)
INSTALL := $(BIN)/pip install -q --disable-pip-version-check
BUILT_FROM := $(shell find csrc -name '*.[ch]') pyproject.toml setup.py

.PHONY: demo test lint clean help

demo: $(VENV)/.stamp
	@echo "Running examples/demo.py on asyncio, on fastloop, and accelerated, in turns."
	$(BIN)/python examples/compare.py

test: $(VENV)/.stamp $(VENV)/.test-stamp
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not long" $(PYTEST)

lint: $(VENV)/.stamp $(VENV)/.test-stamp $(VENV)/.lint-stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/lint.sh

$(ENVIRONMENT):
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install it," \
	    "on Debian with \`apt install python3 python3-venv python3-dev\`." >&2; exit 1; }
	@$(PYTHON) tools/preflight.py
	@echo "Making an environment in $(VENV) with $$($(PYTHON) -VV)."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) 'setuptools>=77'
	@touch $@

$(VENV)/.stamp: $(ENVIRONMENT) $(BUILT_FROM)
	@echo "Building fastloop there: C, for half a minute or more."
	@$(INSTALL) --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.test-stamp $(VENV)/.lint-stamp: $(VENV)/.%-stamp: $(ENVIRONMENT) pyproject.toml
	@echo "Installing what \`make $*\` needs."
	@$(BIN)/python tools/requirements.py $* | $(INSTALL) -r /dev/stdin
	@touch $@

clean:
	rm -rf $(VENV) .venvs build *.egg-info fastloop/*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis compile_commands.json
	find . -name __pycache__ -not -path './.forky/*' -prune -exec rm -rf {} +

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile
