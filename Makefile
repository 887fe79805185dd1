# Everything here needs only Python >= 3.11 and make; the rest is installed into .venv from the lock file.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check format lock bench clean

run: .venv/installed ## the gateway in front of an example API, ready to be curled
	@$(BIN)/gateway run -c config/gateway.toml --example

test: .venv/installed ## every test, over real sockets
	@$(BIN)/pytest -q

check: .venv/installed ## style, types, and the floors of the house
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/installed ## CPU per request, beside an ordinary aiohttp proxy
	@$(BIN)/python -m benchmarks

format: .venv/installed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: .venv/installed ## write the lock files anew
	@$(BIN)/uv -q pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml -o requirements.lock
	@$(BIN)/uv -q pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra dev pyproject.toml -o requirements-dev.lock

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

.venv/installed: pyproject.toml requirements-dev.lock
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
