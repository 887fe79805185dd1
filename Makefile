# Everything here needs only Python >= 3.11 and make; the rest is installed into .venv from the lock file.
PYTHON ?= python3
BIN := .venv/bin

# Tests start the gateway hundreds of times: its bytecode is kept, also where the environment says otherwise.
export PYTHONDONTWRITEBYTECODE :=

# All tests are spread over workers, one more than there are cores, because tests wait half of their time for programs;
# a few are over before workers have started.
WORKERS = $(if $(ARGS),,-n $(shell $(PYTHON) -c "import os; print(min(5, 1 + (os.cpu_count() or 1)))") --dist worksteal)

# What is left out takes long: whole programs from end to end, the model, the benchmarks, deploy/.
FAST := tests/unit tests/config tests/handler tests/upstream tests/stores \
	tests/test_documents.py tests/test_image.py tests/test_wire_document.py tests/test_testing.py

.PHONY: help run test test-fast check format lock bench bench-growth bench-peers bench-versions bench-counted bench-scaling bench-lists bench-operators crash model restarts retries store-faults upstream-faults overload soak websockets slow-heads loop-holds slow-readers evasions cluster failover promotions imports strangers fuzz monitoring clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

run: .venv/installed ## the gateway in front of an example API, ready to be curled
	@$(BIN)/gateway run -c config/gateway.toml --example

test: .venv/installed ## every test; ARGS="FILE -k NAME" chooses some
	@$(BIN)/pytest -q $(WORKERS) $(ARGS)

test-fast: .venv/installed ## the quick tests, in about a minute
	@$(BIN)/pytest -q $(WORKERS) -m "not slow" $(FAST) $(ARGS)

check: .venv/installed ## style, types, and which layer imports which
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# With ARGS of your own ("--help" shows them) nothing in docs/ is written anew.
bench: ARGS = --json docs/comparison.json --picture docs/comparison.svg
bench: .venv/installed ## CPU per request, beside every other proxy that is found
	@PATH="$(CURDIR)/.venv/peers/bin:$$PATH:/usr/sbin" $(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks.document

bench-growth: ARGS = --json docs/growth.json --picture docs/growth.svg
bench-growth: .venv/installed ## CPU per request as claims, connections, bodies and rules grow
	@$(BIN)/python -m benchmarks.growth $(ARGS)
	@$(BIN)/python -m benchmarks.document

bench-peers: ## install Caddy, for the benchmark alone
	@$(PYTHON) -m venv .venv/peers
	@.venv/peers/bin/python -m pip install --quiet --require-hashes -r benchmarks/peers/requirements.lock

bench-versions: .venv/installed ## CPU per request beside an earlier commit; ARGS=COMMIT
	@$(BIN)/python -m benchmarks.versions $(ARGS)

bench-counted: .venv/installed ## instructions instead of CPU time; ARGS=COMMIT
	@$(BIN)/python -m benchmarks.instructions $(ARGS)

bench-scaling: .venv/installed ## creates a second of one and of two gateways on one store
	@$(BIN)/python -m benchmarks.scaling $(ARGS)

bench-lists: .venv/installed ## lists and counts of ten million claims, beside creates
	@$(BIN)/python -m benchmarks.lists $(ARGS)

bench-operators: .venv/installed ## an operator's page, lists and scrapes of as many, over HTTP
	@$(BIN)/python -m benchmarks.operators $(ARGS)

crash: .venv/installed ## kills at 30 points x 200 x both durabilities, an hour
	@$(BIN)/python -m campaigns.crash $(ARGS)

restarts: .venv/installed ## 100 reloads and 20 restarts under load: what is lost
	@$(BIN)/python -m campaigns.restarts $(ARGS)

retries: .venv/installed ## callers fight for identities and retry: who gets what
	@$(BIN)/python -m campaigns.retries $(ARGS)

model: .venv/installed ## the decision core against its reference, 22,000 runs
	@$(BIN)/python -m campaigns.model $(ARGS)

store-faults: .venv/installed ## what befalls the store's file, thirty seconds each
	@$(BIN)/python -m campaigns.store_faults $(ARGS)

upstream-faults: .venv/installed ## an API that fails in eight ways, 500 times each
	@$(BIN)/python -m campaigns.upstream_faults $(ARGS)

overload: .venv/installed ## 5,000 connections, four times what can be answered
	@$(BIN)/python -m campaigns.overload $(ARGS)

soak: ARGS = --json docs/soak.json --picture docs/soak.svg
soak: .venv/installed ## half an hour of mixed traffic with faults: what goes wrong
	@$(BIN)/python -m campaigns.soak $(ARGS)

websockets: .venv/installed ## Autobahn's WebSocket cases, with and without the gateway
	@$(BIN)/python -m campaigns.websockets $(ARGS)

slow-heads: .venv/installed ## 2,000 clients that send a byte a second, beside ordinary ones
	@$(BIN)/python -m campaigns.slow_heads $(ARGS)

loop-holds: .venv/installed ## odd requests one by one: how long each holds up the others
	@$(BIN)/python -m campaigns.loop_holds $(ARGS)

slow-readers: .venv/installed ## memory of 3,000 given-up downloads and 1,000 slow readers
	@$(BIN)/python -m campaigns.slow_readers $(ARGS)

evasions: .venv/installed .venv/judges/installed ## 4,800 odd requests to Flask, Django, FastAPI: what slips by
	@$(BIN)/python -m campaigns.evasions $(ARGS)

cluster: .venv/installed ## 3 gateways on one store: kills, restarts, 1,000,000 requests
	@$(BIN)/python -m campaigns.cluster $(ARGS)

failover: .venv/installed ## a Valkey primary is killed, cut off, fails, 40 minutes
	@$(BIN)/python -m campaigns.failover $(ARGS)

promotions: .venv/installed ## 3 gateways on PostgreSQL: 100 restarts, 20 promotions, faults
	@$(BIN)/python -m campaigns.promotions $(ARGS)

imports: .venv/installed ## 1,000,000 rows imported, killed amid, moved to other stores
	@$(BIN)/python -m campaigns.imports $(ARGS)

strangers: .venv/installed ## a flood of refused creates, and who learns what exists
	@$(BIN)/python -m campaigns.strangers $(ARGS)

fuzz: .venv/installed ## ten minutes of odd bodies and paths, and who misreads them
	@$(BIN)/python -m campaigns.fuzz $(ARGS)

monitoring: .venv/installed ## 24 situations under Prometheus: which alerts fire, what shows
	@$(BIN)/python -m campaigns.monitoring $(ARGS)

format: .venv/installed ## put the source into its form, and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: .venv/installed ## write the lock files anew
	@$(BIN)/uv -q pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra otel --extra pattern --extra postgresql --extra redis pyproject.toml -o requirements.lock
	@$(BIN)/uv -q pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra dev pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv -q pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate campaigns/evasions/requirements.in -o campaigns/evasions/requirements.lock

clean: ## remove the virtual environment and what the tools keep
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

.venv/installed: pyproject.toml requirements-dev.lock
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The frameworks that judge, apart from what the gateway is developed with; axios too where there is npm.
.venv/judges/installed: campaigns/evasions/requirements.lock campaigns/evasions/clients/package-lock.json
	@$(PYTHON) -m venv .venv/judges
	@.venv/judges/bin/python -m pip install --quiet --require-hashes -r campaigns/evasions/requirements.lock
	@cp campaigns/evasions/clients/package*.json .venv/judges
	@cd .venv/judges && { ! command -v npm >/dev/null || npm ci --silent --no-audit --no-fund --ignore-scripts; }
	@touch $@
