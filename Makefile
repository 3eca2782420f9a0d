# Two commands to know: `make demo` and `make test`. Everything is installed into .venv, beside this file.
# Tools are run as modules, because a script's first line cannot name an interpreter in a folder with blanks.
PYTHON ?= python3
PY := .venv/bin/python
DEMO_ARGS ?=
TEST_ARGS ?=
SERVERS_ARGS ?=
DOCS_ARGS ?=
BENCH_ARGS ?=
IMPORT_ARGS ?=
WEB_ARGS ?=
OUTBOX_ARGS ?=
ARROW_ARGS ?=
MUTANTS_ARGS ?=
SOAK_ARGS ?= --seconds 600

# A checkout that was moved or copied must not run the code of its old place.
ifneq "$(shell cat .venv/checkout 2>/dev/null)" "$(CURDIR)"
STALE := stale
endif

.PHONY: demo example test test-all test-servers coverage mutants docs docs-links lint format bench bench-adopt bench-scale bench-cells bench-trees soak clean stale

demo: .venv/installed-embedded
	@$(PY) -m rayces_core demo $(DEMO_ARGS)

# A host application on an embedded database: a family books, a professional and the desk work. Stop with Ctrl-C.
example: .venv/installed-example examples/centre/centre/static/htmx.min.js
	@cd examples/centre && ../../$(PY) -m centre

examples/centre/centre/static/htmx.min.js: examples/centre/package.json
	@cd examples/centre && npm install --omit=dev --no-audit --no-fund --silent && cp node_modules/htmx.org/dist/htmx.min.js centre/static/

# Half of what a test takes is the server's work, so more workers than processors gain nothing.
test: .venv/installed-dev
	$(PY) -m pytest -n 2 --dist worksteal -m "not exhaustive and not slow" $(TEST_ARGS)

# Every walk whole, with new random examples: what CI runs.
test-all: .venv/installed-dev
	RAYCES_TESTS=all $(PY) -m pytest -n 2 --dist worksteal $(TEST_ARGS)

# What the database does, on PostgreSQL 15, 16, 17 and 18; binaries that are missing are fetched once, into a cache.
# SERVERS_ARGS="15 17 -k ledger" for some versions and tests.
test-servers: .venv/installed-dev
	$(PY) -m tests.servers $(SERVERS_ARGS)

# Branches that the suite takes, in the terminal and in build/coverage/index.html.
coverage: .venv/installed-dev
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -n 2 --dist worksteal -m "not exhaustive" $(TEST_ARGS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage html --quiet
	@$(PY) -m coverage report

# What no test notices in the modules of the promises, a dozen changes of each room; MUTANTS_ARGS="credits --most 40" for one.
mutants: .venv/installed-dev
	@$(PY) -m tests.mutants $(MUTANTS_ARGS)

# The site, in build/docs: notebooks are executed once, a warning is an error, every inner link leads somewhere.
docs: .venv/installed-docs docs/_static/mermaid.min.js
	$(PY) -m sphinx -b html -n -W --keep-going -q docs build/docs $(DOCS_ARGS)
	@echo "build/docs/index.html"

# Every link to elsewhere is asked too; needs a network, and executes no notebook.
docs-links: .venv/installed-docs
	$(PY) -m sphinx -b linkcheck -D nb_execution_mode=off --keep-going -q docs build/docs-links

# What draws the diagrams; without npm they are shown as text.
docs/_static/mermaid.min.js: docs/package.json
	@mkdir -p build/mermaid
	@cd build/mermaid && tarball=$$(npm pack --silent mermaid@$$(sed -n 's/.*"mermaid": "\(.*\)".*/\1/p' ../../docs/package.json)) \
	  && tar xzf $$tarball package/dist/mermaid.min.js && cp package/dist/mermaid.min.js ../../$@ && rm -r package $$tarball \
	  || echo "no npm: diagrams are shown as text"

lint: .venv/installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

format: .venv/installed-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: .venv/installed-bench
	@$(PY) -m bench $(BENCH_ARGS)
	@$(PY) -m bench.importing $(IMPORT_ARGS)
	@$(PY) -m bench.web $(WEB_ARGS)
	@$(PY) -m bench.outbox $(OUTBOX_ARGS)
	@$(PY) -m bench.arrow $(ARROW_ARGS)

# Ten thousand tenants with five million appointments beside ten, on one server; filling takes most of it.
# BENCH_ARGS="--folder scale --shared-buffers 128MB --shared-buffers 2GB" keeps what was filled, and measures with both.
bench-scale: .venv/installed-bench
	@$(PY) -m bench.scale $(BENCH_ARGS)

# This tree beside another commit, in turns: make bench-trees BENCH_ARGS="main~20 --rounds 5".
bench-trees: .venv/installed-bench
	@$(PY) -m bench.trees $(BENCH_ARGS)

# Two embedded servers with half of the tenants each beside one with all of them, under the same load.
bench-cells: .venv/installed-bench
	@$(PY) -m bench.cells $(BENCH_ARGS)

# A live MyHub of 4,200,000 rows is adopted while its old application goes on, and the command is killed 20 times.
bench-adopt: .venv/installed-embedded
	@$(PY) -m bench.adopting $(BENCH_ARGS)

# The ledger under many processes, kills and cut connections, for ten minutes unless told otherwise.
soak: .venv/installed-dev
	@$(PY) -m tests.credits.jack_hammer $(SOAK_ARGS)

.venv/installed-%: pyproject.toml $(STALE)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "rayces-core needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(PY) -a -z "$(STALE)" || { rm -rf .venv; $(PYTHON) -m venv --without-pip .venv; }
	$(PYTHON) -m pip --python $(PY) install --quiet --disable-pip-version-check -e ".[$*]"
	@printf '%s' "$(CURDIR)" > .venv/checkout
	@touch $@

stale:

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
