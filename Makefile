# The verbs of this project. Each sets up what it needs; re-running is fast.
#
#   make test ARGS='-k close -x'          arguments for pytest
#   make PYTHON=/path/to/python3 test     the Python for a new virtual environment
#   make VENV=.venv312 test               another virtual environment

VENV ?= .venv
PYTHON ?=
ARGS ?=

python := $(VENV)/bin/python
typed := $(wildcard ktor_client tests benchmarks examples)
sources := pyproject.toml $(shell find $(typed) -name '*.py')

# -X dev: asyncio's debug mode, and a warning (so an error) for everything left open.
pytest := $(python) -X dev -m pytest
# What runs whole runs on every core; what needs one browser or one foreign server stays together.
parallel := -n auto
# A run of the whole suite leaves its coverage in .coverage, where `make check` finds it.
define covered
rm -f .coverage .coverage.*
$(python) -X dev -m coverage run -m pytest $(parallel); result=$$?; \
	$(python) -m coverage combine --quiet && exit $$result
endef

.DEFAULT_GOAL := help
.PHONY: autobahn help demo test test-all test-compiled test-eager test-sanitized twins speedups check format docs bench bench-quick bench-world browser browser-demo chaos fuzz wheel clean force

help: ## list the verbs
	@echo 'usage: make VERB'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.all ## install, then chat through every engine over an echo server on this machine
	@$(VENV)/bin/ktor-client demo

# Tests that are named by their path need no checkers and no browser, but those of both.
named := $(and $(findstring tests/,$(ARGS)),$(if $(findstring browser,$(ARGS))$(findstring typing,$(ARGS)),,yes))
layer := $(if $(wildcard $(VENV)/.dev),dev,$(if $(named),test,dev))

test: $(VENV)/.$(layer) ## set up for development, then run the suite
ifeq ($(strip $(ARGS)),)
	@$(covered)
else
	@$(pytest) $(ARGS)
endif

test-all: $(VENV)/.dev ## the suite and its long matrices
	@$(pytest) $(parallel) -m '' $(ARGS)

.coverage: $(VENV)/.dev $(sources)
	@$(covered)

check: $(VENV)/.dev $(VENV)/.bench ## format, lint, types, floors, then the coverage of the last whole run
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy $(typed)
	$(VENV)/bin/pyright --pythonpath $(python) $(typed)
	$(VENV)/bin/lint-imports --no-logo
	@$(MAKE) --no-print-directory .coverage
	$(python) -m coverage report

format: $(VENV)/.dev ## put the code into the project's format
	$(VENV)/bin/ruff check --fix --exit-zero .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.docs ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

speedups: $(VENV)/.created ## build the compiled core with a C compiler, and install it
	@$(python) -m pip install --quiet --disable-pip-version-check --force-reinstall ./speedups
	@$(python) -c 'import ktor_client_speedups as core; print("ktor-client-speedups", core.__version__)'

# The compiled core is built beside the virtual environment, which stays as it is.
compiled := $(VENV)/speedups
compiled_suites := tests/speedups tests/protocol tests/link tests/session tests/fuzz tests/test_frames.py \
	tests/test_channels.py tests/test_conformance.py tests/leaks
test-compiled: $(VENV)/.dev ## what receives and sends, on the compiled core
	@$(python) -m tests.speedups.build $(compiled)
	@PYTHONPATH=$(compiled) KTOR_CLIENT_PURE=0 $(pytest) $(or $(ARGS),$(parallel) $(compiled_suites))

# What may differ when reads step who receives; the chaos of networks and feeds too.
eager_suites := tests/speedups tests/link tests/session tests/memory tests/chaos tests/leaks \
	tests/hostile tests/reconnect tests/test_conformance.py tests/test_channels.py
test-eager: $(VENV)/.dev ## the compiled core with KTOR_CLIENT_EAGER=1
	@$(python) -m tests.speedups.build $(compiled)
	@PYTHONPATH=$(compiled) KTOR_CLIENT_PURE=0 KTOR_CLIENT_EAGER=1 \
		$(pytest) $(or $(ARGS),$(parallel) $(eager_suites))

sanitized_suites := tests/speedups/test_frames.py tests/speedups/test_masking.py \
	tests/speedups/test_eager_wake.py tests/speedups/test_eager_engines.py tests/protocol tests/link \
	tests/session/test_awaitables.py tests/session/test_incoming_channel.py tests/session/test_outgoing.py
test-sanitized: $(VENV)/.dev ## the compiled core under AddressSanitizer and UBSan
	@$(python) -m tests.speedups.build --sanitize $(compiled)-sanitized
	@PYTHONPATH=$(compiled)-sanitized KTOR_CLIENT_PURE=0 PYTHONMALLOC=malloc \
		LD_PRELOAD=$$($${CC:-gcc} -print-file-name=libasan.so) \
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 \
		$(pytest) $(or $(ARGS),$(parallel) $(sanitized_suites))

twins: $(VENV)/.dev ## a million random streams through both twins of the decoder: equal outcomes
	@$(python) -m tests.speedups.build $(compiled)
	@PYTHONPATH=$(compiled) KTOR_CLIENT_PURE=0 $(python) -m tests.speedups.differential $(ARGS)

bench: $(VENV)/.bench ## every benchmark: table, JSON and plot
	@$(python) -m tests.speedups.build $(compiled) || true
	@PYTHONPATH=$(compiled) $(python) -m benchmarks $(ARGS)
	@$(python) -m benchmarks.mock_suite

bench-world: $(VENV)/.bench ## clients of other languages beside ours: a table, JSON and a plot
	@$(python) -m tests.speedups.build $(compiled) || true
	@PYTHONPATH=$(compiled) $(python) -m benchmarks.world $(ARGS)

bench-quick: $(VENV)/.bench ## the short benchmark, which fails when a goal is missed
	@$(python) -m tests.speedups.build $(compiled) || true
	@PYTHONPATH=$(compiled) $(python) -m benchmarks --quick $(ARGS)

browser: $(VENV)/.dev ## the client inside Chromium: set up what that needs, then its tests
	@sh tools/browser.sh
	@KTOR_CLIENT_REQUIRE_LANES=1 $(pytest) tests/browser $(ARGS)

browser-demo: $(VENV)/.all ## a chat page whose Python runs in your browser, over an echo server
	@$(VENV)/bin/ktor-client browser-demo $(ARGS)

chaos: $(VENV)/.dev ## a million messages each way through ten thousand cuts, each accounted for
	@$(python) -m tests.chaos.feeds --messages 1000000 --faults 10000 $(ARGS)

autobahn: $(VENV)/.dev ## the Autobahn test suite on every engine (WSTEST=path of its command)
	@$(python) -m tests.autobahn $(if $(WSTEST),--wstest $(WSTEST)) $(ARGS)

fuzz: $(VENV)/.dev
	@$(python) -m tests.fuzz $(ARGS)

wheel: $(VENV)/.created ## build the wheel into dist/
	@$(python) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist

clean: ## remove what the verbs made, the virtual environment too
	rm -rf .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache benchmarks/world/build dist htmlcov site speedups/build speedups/src/*.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	test ! -e $(VENV)/pyvenv.cfg || rm -rf $(VENV)

# ---------------------------------------------------------------- the virtual environment

# Only a stamp says that a layer is complete; a virtual environment whose Python is gone is made anew.
$(VENV)/.created: $(shell $(python) -c '' 2>/dev/null || echo force)
	@PYTHON='$(PYTHON)' sh tools/venv.sh $(VENV)
	@touch $@

# What an installation brings, and about how long it takes the first time.
takes = $(or $(takes_$*),a minute or two)
takes_all := aiohttp, httpx and what they need, about half a minute
takes_dev := the engines, pytest, checkers, servers to test against; one to three minutes
takes_test := the engines, pytest and servers to test against, about a minute
takes_docs := mkdocs-material and mkdocstrings, about half a minute
takes_bench := websockets, picows, matplotlib and others, about a minute

# One layer for each extra of pyproject.toml: all, test, dev, docs, bench, browser.
$(VENV)/.%: $(VENV)/.created pyproject.toml
	@echo "Installing ktor-client[$*] into $(VENV): $(takes)"
	@$(python) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
