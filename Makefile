# `make` lists what there is. Needs Python 3.11 or newer and git; the rest is fetched.

VENV     ?= .venv
BIN       = $(VENV)/bin
# What reads all Python: folders that exist, so that a room may be missing from a branch.
SOURCES   = $(wildcard mirror listeners coordinator janitor projector dashboard console harness \
	simulator bench tests docs/build docs/examples docs/hooks.py)
PIP       = $(BIN)/python -m pip --disable-pip-version-check --quiet --retries 8 --timeout 60
INSTALL   = $(PIP) install --constraint constraints.txt
MANIFESTS = setup.cfg pyproject.toml constraints.txt
# The first interpreter that is new enough; PYTHON=... on the command line overrules it. Asked from /,
# since pyenv would insist on the one release of .python-version, which is for platforms.
PYTHON   ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	(cd / && $$p -c 'import sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)') \
	2>/dev/null && break; done)
# For how long `make demo` runs; empty: until Ctrl-C.
SECONDS  ?=
# Modules of bench/ that can be run by themselves.
BENCH    ?= $(filter-out peers,$(basename $(notdir $(shell \
	grep -l '^if __name__' bench/*.py 2>/dev/null))))
# Brings Apache Kafka, and Java where there is none, into the user's cache; a moment once it is there.
KAFKA     = -m harness.kafka_install
# More words for pytest, as in `make test ARGS="-k spool -x"`.
ARGS     ?=

.DEFAULT_GOAL := help
.PHONY: help demo check test test-valkey test-oldest lint audit types format kafka helm bench bench-peers native native-lint docs chaos fuzz fuzz-native fuzz-scanner clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready-demo ## run the whole mirror against a simulated Genesys Cloud (SECONDS=20 ends it)
	@$(BIN)/mirror sandbox --demo $(if $(SECONDS),--seconds $(SECONDS))

check: lint ## lint, types and unit tests, in about a minute (ARGS="-k name")
	@$(BIN)/python -m pytest tests/unit -n auto -m "not slow" --no-header -q $(ARGS)

# Integration tests wait more than they work, so three run at a time; the rest has the machine for itself.
# What fails runs once more with nothing beside it: on a shared machine a deadline may pass for want of CPU.
# Only if tests failed (1): what a run that broke off would have found is not known.
AGAIN = [ $$? -eq 1 ] && echo "=== failed tests once more, alone" && $(BIN)/python -m pytest tests/integration --last-failed --last-failed-no-failures none
test: $(VENV)/.ready-dev ## set up what tests need and run all but chaos (ARGS="-k name")
	@$(BIN)/python $(KAFKA) --or-skip
ifeq ($(strip $(ARGS)),)
	@$(BIN)/python -m pytest tests/unit -n auto
	@$(BIN)/python -m pytest tests/integration -n 3 --dist loadfile -m "not alone" || { $(AGAIN) -m "not alone"; }
	@$(BIN)/python -m pytest tests/integration -m alone || { $(AGAIN) -m alone; }
else
	@$(BIN)/python -m pytest $(ARGS)
endif

test-valkey: $(VENV)/.ready-dev ## run the tests that need Redis and no Kafka once more, on Valkey
	@MIRROR_TEST_REDIS=valkey $(BIN)/python -m pytest -n 2 --dist loadfile -m "redis and not kafka and not chaos" $(ARGS)

test-oldest: $(VENV)-oldest/.ready ## run all tests on the oldest dependencies that setup.cfg allows
	@$(VENV)-oldest/bin/python $(KAFKA) --or-skip
	@$(VENV)-oldest/bin/python -m pytest $(ARGS)

lint: $(VENV)/.ready-dev ## check style, format and types
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(MAKE) --no-print-directory types

audit: $(VENV)/.ready-dev ## ask whether a dependency that ships has a known vulnerability
	@$(BIN)/python -m tests.audit $(ARGS)

types: $(VENV)/.ready-dev ## check types only
	@$(BIN)/mypy $(SOURCES)

format: $(VENV)/.ready-dev ## put style and format right where a tool can
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

kafka: $(VENV)/.ready-dev ## fetch Apache Kafka for the tests, once, into the user's cache
	@$(BIN)/python $(KAFKA)

helm: $(VENV)/.ready-dev ## build Helm for the tests of the chart, once, into the user's cache
	@$(BIN)/python -m tests.services.helm

bench: $(VENV)/.ready-dev ## run the benchmarks, modules of bench/ (BENCH=name ARGS="...": one of them)
	@$(BIN)/python $(KAFKA) >/dev/null
	@for bench in $(BENCH); do \
		echo "== bench.$$bench"; $(BIN)/python -m bench.$$bench $(ARGS) || exit; done

bench-peers: $(VENV)/.ready-bench ## run the listener beside what others write in Node and Python
	@$(BIN)/python -m bench.peers $(ARGS)

chaos: $(VENV)/.ready-dev ## break the real thing in every known way and count (ARGS="-k name")
	@$(BIN)/python $(KAFKA) --or-skip
	@$(BIN)/python -m pytest tests/chaos -m chaos --timeout=0 $(ARGS)

fuzz: $(VENV)/.ready-dev ## run the property tests with many more examples
	@$(BIN)/python -m pytest -m "fuzz and not chaos" --timeout=3600 \
		--hypothesis-profile=fuzz $(ARGS)
	@MIRROR_TEST_HOURS=10000 $(BIN)/python -m pytest --timeout=3600 \
		tests/unit/coordinator/test_leading.py -k hours

fuzz-native: $(VENV)/.ready-fuzz ## feed the normaliser what atheris thinks up, for ten minutes
	@rm -rf build/fuzz && mkdir -p build && cp -r tests/recordings build/fuzz
	@$(BIN)/python -m tests.fuzz.corpus build/fuzz
	@$(BIN)/python -m tests.fuzz.fuzz_normaliser build/fuzz -max_total_time=600

# Rust's part of what `cargo fuzz` does: the counters that libFuzzer looks at, and AddressSanitizer.
SANITIZED = -Zsanitizer=address -Cpasses=sancov-module -Ccodegen-units=1 \
	$(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)
fuzz-scanner: $(VENV)/.ready-dev ## feed the native reader's Rust what libFuzzer thinks up, for five minutes (needs Rust nightly)
	@rm -rf build/fuzz-scanner && mkdir -p build && cp -r tests/recordings build/fuzz-scanner
	@$(BIN)/python -m tests.fuzz.corpus build/fuzz-scanner --histories
	@cd native/fuzz && RUSTFLAGS="$(SANITIZED)" cargo +nightly run --quiet --release \
		--target $$(rustc -vV | sed -n 's/^host: //p') -- $(abspath build/fuzz-scanner) \
		-max_len=131072 -max_total_time=300

native: $(VENV)/.ready-dev ## build the native reader into the environment (needs Rust; docs/native.md)
	@command -v cargo >/dev/null || { \
		echo "make: no cargo on PATH: install Rust 1.83 or newer, or do without (docs/native.md)" >&2; \
		exit 1; }
	@$(INSTALL) maturin
	@cd native && VIRTUAL_ENV=$(abspath $(VENV)) $(abspath $(BIN))/maturin develop --release --quiet
	@$(BIN)/python -c "import interaction_mirror_native as n; print('native reader', n.VERSION)"

native-lint: ## check the native reader's format and lints, and its dependencies where cargo-audit is
	@command -v cargo >/dev/null || { echo "make: no cargo on PATH: install Rust" >&2; exit 1; }
	@cd native && cargo fmt --check && cargo clippy --release --quiet -- -D warnings
	@if command -v cargo-audit >/dev/null; then cd native && cargo audit --quiet; \
		else echo "native-lint: dependencies not audited: no cargo-audit"; fi

docs: $(VENV)/.ready-docs ## build the documentation site into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site is in build/site: $(BIN)/python -m http.server --directory build/site"

clean: ## remove the environment, caches and build results; the Kafka cache stays
	@rm -rf $(VENV) $(VENV)-oldest build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment counts from its stamp on: what was cut short is made anew.
$(VENV)/.created:
	@test -n "$(PYTHON)" || { \
		echo "make: no Python 3.11 or newer found; install one, or say PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $(PYTHON) cannot make environments; on Debian install python3-venv" >&2; \
		exit 1; }
	@echo "making the environment in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Builds use the environment's own pinned setuptools: one download and one variable less.
$(VENV)/.ready-demo: $(VENV)/.created $(MANIFESTS)
	@echo "installing the mirror and its sandbox"
	@$(INSTALL) setuptools
	@$(INSTALL) --no-build-isolation --editable '.[sandbox]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready-demo
	@echo "installing what tests and checks need"
	@$(INSTALL) --no-build-isolation --editable '.[sandbox,dashboard,dev]'
	@touch $@

# Lower bounds of what the product needs become pins; tools (the extra dev) stay as they are.
$(VENV)-oldest/.ready: setup.cfg $(VENV)/.ready-dev
	@echo "installing the oldest dependencies in $(VENV)-oldest"
	@$(PYTHON) -m venv --clear $(VENV)-oldest
	@sed -n -e '/^dev =/q' -e 's/^ *\([a-z][a-z0-9-]*\) *>= *\([0-9.]*\)$$/\1==\2/p' setup.cfg \
		> $(VENV)-oldest/pins.txt
	@$(VENV)-oldest/bin/python $(wordlist 2,99,$(PIP)) install --constraint $(VENV)-oldest/pins.txt \
		--editable '.[sandbox,dashboard,dev]'
	@touch $@

# Clients and tools of others that the tests use; CI has them, a laptop need not.
$(VENV)/.ready-peers: $(VENV)/.ready-dev
	@echo "installing what the simulator and the files of deploy/ are tested with"
	@$(INSTALL) --no-build-isolation --editable '.[sandbox,dashboard,dev,peers,platforms]'
	@touch $@

$(VENV)/.ready-docs: $(VENV)/.ready-dev
	@echo "installing what builds the site"
	@$(INSTALL) --no-build-isolation --editable '.[sandbox,dashboard,dev,docs]'
	@touch $@

# Without a prebuilt library for this Node, npm compiles Confluent's client: that needs a compiler and
# the headers of OpenSSL, curl, zstd, zlib and SASL (CKJS_LINKING: it links against them).
$(VENV)/.ready-bench: $(VENV)/.ready-dev bench/peer_programs/package.json
	@echo "installing the peers of the benchmark"
	@$(INSTALL) --no-build-isolation --editable '.[sandbox,dashboard,dev,bench]'
	@cd bench/peer_programs && CKJS_LINKING=dynamic npm install --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.ready-fuzz: $(VENV)/.ready-dev
	@echo "installing the fuzzer"
	@$(INSTALL) --no-build-isolation --editable '.[sandbox,dashboard,dev,fuzz]'
	@touch $@
