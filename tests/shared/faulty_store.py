"""A store on a disk that fails when a test wants it to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ringback import StoreError
    from ringback.work.items import Item
    from ringback.work.latch import Offer


class Faulty(SQLiteStore):
    """A store that raises ``fault``, while it has one."""

    def __init__(self, path: Path, fault: StoreError | None = None) -> None:
        super().__init__(path, poll=0.02, timeout=0.5)
        self.fault = fault

    async def open(self) -> None:
        if self.fault is not None:
            raise self.fault
        await super().open()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        if self.fault is not None:
            raise self.fault
        return await super().put(items)
