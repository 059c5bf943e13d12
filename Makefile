# Every goal sets up what it needs. PYTHON chooses the interpreter, EXTRAS adds optional parts
# (make run EXTRAS="telegram discord"), ARGS goes to the program (make test ARGS="tests/queue -x").

EXTRAS ?=
ARGS ?=
export PYTHON EXTRAS
PY := .venv/bin/python

# Another interpreter than last time: forget what was installed, so that scripts/install starts over.
ifneq ($(and $(PYTHON),$(wildcard $(PY))),)
ifneq ($(shell $(PYTHON) -V),$(shell $(PY) -V))
$(shell rm -f .venv/installed-*)
endif
endif

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 16

run: .venv/installed-run extras  ## start OpenCraw; the first time, set everything up
	@exec .venv/bin/opencraw serve $(ARGS)

test: .venv/installed-dev  ## run the whole test suite
	@scripts/test-needs
	@# Where no bytecode is to be written, hundreds of daemons would compile the program anew.
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -p tests.fixtures.no_skips -n 6 $(ARGS)

check: .venv/installed-dev  ## format, lint, types and layers
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: .venv/installed-dev  ## measure against the budgets
	@$(PY) -m bench $(ARGS)

soak: .venv/installed-dev  ## kill and count: nothing lost, nothing stuck, nothing doubled
	@$(PY) -m bench.soak $(ARGS)

lock: .venv/installed-dev  ## write requirements/*.txt anew (ARGS=--upgrade: newest versions)
	@command -v uv >/dev/null || $(PY) -m pip install --quiet uv
	@PATH="$$PATH:.venv/bin" $(PY) scripts/lock.py $(ARGS)

example: .venv/installed-dev  ## write config.example.toml anew, from the settings
	@$(PY) -m opencraw.config.example > config.example.toml

clean:  ## remove what was set up or built; data and configuration stay
	@rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed-%: requirements/%.txt pyproject.toml scripts/install
	@scripts/install $*

extras: $(EXTRAS:%=.venv/installed-%)

.PHONY: help run test check bench soak lock example clean extras
