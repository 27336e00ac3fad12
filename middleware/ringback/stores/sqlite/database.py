"""The file of an SQLite store: a thread that writes it, one that reads it, and what the store says of a lost file."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores.sqlite.file import closed, opened, opened_to_read, refuse_network, store_error
from ringback.stores.sqlite.identity import Loss, Watch
from ringback.stores.sqlite.schema import PUT_LOG_IN_FILE
from ringback.stores.sqlite.whole import WholeCheck
from ringback.stores.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


A = TypeVar("A")
T = TypeVar("T")

_FAULTS = (sqlite3.Error, OSError)


class Database:
    """Does operations on the file ``path``, and raises :class:`StoreError` for faults of SQLite and of the disk.

    ``timeout`` is how many seconds SQLite waits for a locked file, and ``network`` allows a file on a network file
    system. The database calls ``on_fault`` with what no caller learns, and ``on_outage`` when it may be that nobody
    could write.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float,
        network: bool,
        on_fault: Callable[[Exception], None],
        on_outage: Callable[[], None],
    ) -> None:
        self._path = path
        self._timeout = timeout
        self._network = network
        self._on_fault = on_fault
        self._on_outage = on_outage
        self._writer = Writer(
            self._connect, partial(closed, path), look=self._look, rest=LogKeeper(), limit=2 * timeout
        )
        self._reader = Writer(self._connect_to_read, begin="BEGIN")
        self._watch: Watch | None = None
        self._loss: Loss | None = None
        self._told: Loss | None = None
        self._whole: WholeCheck | None = None
        self._damage: str | None = None

    async def open(self) -> None:
        await self._writer.open()

    async def close(self) -> None:
        if self._whole is not None:
            await self._whole.close()
        # The connection that closes last puts the log into the file, which the reader cannot.
        await self._reader.close()
        await self._writer.close()

    async def together(self, operation: Callable[[sqlite3.Connection, Sequence[A]], Sequence[T]], argument: A) -> T:
        """See :meth:`Writer.together`. Raises :class:`StoreUnavailable` after twice the time-out."""
        try:
            return await self._writer.together(operation, argument)
        except TimeoutError as error:
            raise StoreUnavailable(
                f"{self._path} was not written within {2 * self._timeout:g} seconds; see how busy its disk is, and who "
                "else has it open (lsof)"
            ) from error
        except _FAULTS as error:
            raise self._fault(error) from error

    async def do(self, operation: Callable[[sqlite3.Connection], T], thread: Writer | None = None) -> T:
        """What the operation returns, once it is committed."""
        thread = thread or self._writer
        try:
            await thread.open()
            return await thread.do(operation)
        except _FAULTS as error:
            raise self._fault(error) from error

    async def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """What the operation returns, over a connection that cannot write."""
        # The writer makes the file that the reader opens.
        await self.open()
        if self._watch is not None and not self._watch.is_theirs():
            await self.do(lambda _: None)  # The writer looks after each transaction, and may open the other file.
            if self._loss is not None:
                raise StoreUnavailable(self._loss.text)
        return await self.do(operation, self._reader)

    async def change(self, statement: str, parameters: Sequence[Any] | dict[str, Any]) -> int:
        """The number of rows that the statement has changed."""
        return await self.do(lambda connection: connection.execute(statement, parameters).rowcount)

    def post(self, operation: Callable[[sqlite3.Connection], object]) -> None:
        self._writer.post(operation)

    def refuse_damaged(self) -> None:
        """Raise :class:`StoreError` once it is known that the file is damaged."""
        if self._damage is not None:
            raise StoreError(self._damage)

    def tell_loss(self) -> None:
        """Say once what has happened to the file. A put says it, too, and there may be none for hours."""
        if self._loss != self._told:
            self._told = self._loss
            if self._loss is not None:
                self._on_fault(StoreUnavailable(self._loss.text))

    def _fault(self, error: sqlite3.Error | OSError) -> StoreError:
        """The store's error for a fault of SQLite or of the disk."""
        self._on_outage()
        if isinstance(error, sqlite3.Error):
            return store_error(self._path, error)
        return StoreUnavailable(f"{self._path}: {error.strerror}")

    def _connect(self) -> sqlite3.Connection:
        refuse_network(self._path, self._network)
        connection, died = opened(self._path, self._timeout)
        if died is None or self._watch is not None:
            # This process knows nothing of an outage that others had just now.
            self._on_outage()
        self._watch = Watch(self._path)
        if died:
            self._whole = WholeCheck(self._connect_to_read, self._damaged)
        return connection

    def _connect_to_read(self) -> sqlite3.Connection:
        return opened_to_read(self._path, self._timeout)

    def _look(self, connection: sqlite3.Connection) -> Loss | None:
        loss = None if self._watch is None else self._watch.look(connection)
        if loss is not None and loss.reopens:
            # A reader of the other file, or of the other log, would keep the writer from opening the file anew.
            self._reader.end()
            if self._whole is not None:
                self._whole.stop()
            self._damage = None
        self._loss = loss
        return loss

    def _damaged(self, what: str) -> None:
        self._damage = f"{self._path} is damaged ({what}); restore it, or move it away and start with a new one"
        self._on_fault(StoreError(self._damage))


CHECKPOINT = 1200
"""Changed rows after which the writer puts the write-ahead log into the file."""


class LogKeeper:
    """Puts the write-ahead log into the file every :data:`CHECKPOINT` changed rows, once callers have their results.

    SQLite itself would do so within a commit, and all callers of the transaction would wait several times as long.
    """

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed = 0

    def __call__(self, connection: sqlite3.Connection) -> None:
        # A changed row takes a page or two. `total_changes` counts from 0 for every new connection.
        if abs(connection.total_changes - self._changed) >= CHECKPOINT:
            self._changed = connection.total_changes
            connection.execute(PUT_LOG_IN_FILE).fetchall()
