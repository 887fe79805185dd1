# The judges as programs: how each is started, and what it says that it created.

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import Program, free_port, started
from tests.support.client import Client

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".venv" / "judges"
"""Where the packages of all judges but the plain one are."""
_PYTHON = str(INSTALLED / "bin" / "python")
_APIS = "campaigns.evasions.judges"
_GUNICORN = (_PYTHON, "-m", "gunicorn", "--no-control-socket", "--bind", "127.0.0.1:{port}")
_UVICORN = (_PYTHON, "-m", "uvicorn", "--log-level", "critical", "--port", "{port}", f"{_APIS}.fastapi_api:app")

PLAIN = "plain"
JUDGES: dict[str, Sequence[str]] = {
    "flask-gunicorn-sync": (*_GUNICORN, f"{_APIS}.flask_api:app"),
    "flask-gunicorn-gthread": (*_GUNICORN, "--worker-class", "gthread", "--threads", "4", f"{_APIS}.flask_api:app"),
    "django-gunicorn": (*_GUNICORN, f"{_APIS}.django_api:app"),
    "fastapi-uvicorn-httptools": (*_UVICORN, "--http", "httptools"),
    "fastapi-uvicorn-h11": (*_UVICORN, "--http", "h11"),
    PLAIN: (sys.executable, "-m", f"{_APIS}.plain_api", "--port", "{port}"),
}
"""The command of each. One worker each, because what was created is kept in its memory."""


@dataclass(frozen=True)
class Judge:
    """A judge that runs."""

    name: str
    port: int

    async def created(self) -> list[tuple[str, Any]]:
        """Kind and value of everything that it created, as it read them."""
        async with Client(self.port) as client:
            seen = await client.request("GET", "/created", [("Connection", "close")])
        assert seen.status == 200, f"{self.name} answered {seen.status}"
        return [(kind, value) for kind, value in json.loads(seen.body)]


@contextlib.asynccontextmanager
async def judge(name: str, directory: Path) -> AsyncIterator[Judge]:
    """Run a judge; RuntimeError with what it wrote when it does not serve."""
    port = free_port()
    with started(name, [_program(name, port, directory)], directory):
        yield Judge(name, port)


def _program(name: str, port: int, directory: Path) -> Program:
    directory.mkdir(parents=True, exist_ok=True)
    return Program([part.format(port=port) for part in JUDGES[name]], port, {"PYTHONPATH": str(ROOT)})
