"""What a test asks of the file that a command has worked on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def asked(file: str, ask: Callable[[SQLiteStore], Awaitable[Any]]) -> Any:
    """The answer of the store in this file, which is open meanwhile."""

    async def asking() -> Any:
        store = SQLiteStore(file)
        await store.open()
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(asking())
