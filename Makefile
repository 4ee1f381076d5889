# make demo    build in .venv and run the example on asyncio and on fastloop
# make test    the same environment, then the tests
# make lint    formatting, static checks and sizes
# make clean   remove what these made
#
# PYTHON=python3.13 chooses another interpreter; PYTEST=-x is given to pytest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.made-by-$(notdir $(PYTHON))
SOURCES := $(shell find csrc -name '*.[ch]')

.PHONY: demo test lint clean

demo: $(VENV)/.stamp
	$(BIN)/python examples/compare.py

test: $(VENV)/.stamp
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.stamp $(VENV)/.lint-stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/lint.sh

# Another PYTHON is another environment.
$(ENVIRONMENT): pyproject.toml setup.py tools/preflight.py
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install it," \
	    "on Debian with \`apt install python3 python3-venv python3-dev\`." >&2; exit 1; }
	@$(PYTHON) tools/preflight.py
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[test]'
	@touch $@

$(VENV)/.stamp: $(ENVIRONMENT) $(SOURCES)
	$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

$(VENV)/.lint-stamp: $(ENVIRONMENT)
	$(BIN)/pip install -q -e '.[lint]'
	@touch $@

clean:
	rm -rf $(VENV) .venvs build *.egg-info fastloop/*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis compile_commands.json
	find . -name __pycache__ -not -path './.forky/*' -prune -exec rm -rf {} +
