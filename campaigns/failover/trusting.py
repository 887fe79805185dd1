# A gateway that takes each server for whole: what failovers do to one that puts nothing back. Only for the comparison.

import sys
from collections.abc import Sequence

from typing_extensions import override

from gateway.cli import main
from gateway.stores import open_valkey
from gateway.stores.operations import Known
from gateway.stores.recovery import Recovery


class _Trusting(Recovery):
    @override
    async def _recover(self) -> None:
        await self._server.trust()

    @override
    async def _put_back(self, known: Sequence[Known]) -> tuple[int, int, Sequence[Known]]:
        return 0, 0, ()


vars(open_valkey)["Recovery"] = _Trusting
if __name__ == "__main__":
    sys.exit(main())
