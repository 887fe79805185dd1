# Fixtures that more than one test file needs: the driven upstream, and the real program in front of it.

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest

# Failures in the shorthands are explained like those in a test. First: nobody may have imported them.
pytest.register_assert_rewrite("tests.support.shorthands")

from tests.support.program import GatewayProgram, rules  # noqa: E402
from tests.support.upstream import RawUpstream, example  # noqa: E402
from tests.support.users_api import UsersApi  # noqa: E402

# Programs that tests start read no authorities of the machine: the import of aiohttp does, and that is a third of what
# a start of the gateway costs.
os.environ["SSL_CERT_FILE"] = os.devnull

# No property depends on how long an example takes, or takes to make.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


class StartGateway(Protocol):
    """Starts a gateway in a directory of its own; it is ended with the test."""

    async def __call__(
        self, toml: str | None = None, *, descriptors: int | None = None, **overrides: Any
    ) -> GatewayProgram:
        """Use `toml`, or else `rules(upstream.url, **overrides)`; `descriptors` is its limit of open files."""


@pytest.fixture
def users() -> UsersApi:
    """What `upstream` does in a test that asks for this."""
    return UsersApi()


@pytest.fixture
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[RawUpstream]:
    """An API that records all it gets and answers 201 or 200 unless a test says otherwise, or asks for `users`."""
    behaviour = request.getfixturevalue("users") if "users" in request.fixturenames else example
    async with RawUpstream(behaviour) as server:
        yield server


@pytest.fixture
async def gateway(upstream: RawUpstream, tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Start gateways in front of `upstream`. What they wrote is shown when the test fails."""
    programs: list[GatewayProgram] = []

    async def start(toml: str | None = None, *, descriptors: int | None = None, **overrides: Any) -> GatewayProgram:
        directory = tmp_path / f"gateway-{len(programs)}"
        text = rules(upstream.url, **overrides) if toml is None else toml
        program = GatewayProgram(directory, text, descriptors=descriptors, is_forked=True)
        programs.append(program)
        await program.start()
        return program

    yield start
    for program in programs:
        if program.is_running:
            await program.kill()
        sys.stderr.write(f"{program.directory.name} wrote:\n{program.output}\n")
