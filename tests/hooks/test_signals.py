"""What a signal raises is told from what a function raises, wherever the two look alike."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ringback.hooks.guarded import of_a_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], Any]


@pytest.fixture(autouse=True)
def pythons_own() -> Generator[None]:
    """Python's handler of SIGINT, as in a program that sets none."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raised_by(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def term() -> None:
    signal.raise_signal(signal.SIGTERM)


def interrupts() -> None:
    raise KeyboardInterrupt


def exits() -> None:
    sys.exit(3)


def handles(number: int, frame: FrameType | None) -> None:
    exits()


def handles_with(status: int, number: int, frame: FrameType | None) -> None:
    sys.exit(status)


class Handles:
    def __call__(self, *_: object) -> None:
        exits()

    def method(self, *_: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("function", [interrupts, exits])
def test_what_a_function_raises_is_its_own(function: Callable[[], object]) -> None:
    """Also where it raises what Ctrl-C raises."""
    assert not of_a_signal(raised_by(function))


def test_ctrl_c_is_a_signal() -> None:
    """Python's own handler leaves no frame."""
    assert of_a_signal(raised_by(ctrl_c))


@pytest.mark.parametrize(
    "handler",
    [handles, functools.partial(handles_with, 3), Handles(), Handles().method],
    ids=["function", "partial", "object", "method"],
)
def test_what_a_handler_of_the_app_raises_is_a_signal(handler: Handler) -> None:
    """A server ends by what its handler of SIGTERM raises; such a handler may be any callable."""
    signal.signal(signal.SIGTERM, handler)
    assert of_a_signal(raised_by(term))
    assert not of_a_signal(raised_by(exits))


def test_who_answers_ctrl_c_with_an_exit_ends_the_process() -> None:
    """It is the usual way to leave with a status."""

    def leaves() -> None:
        try:
            ctrl_c()
        except KeyboardInterrupt:
            sys.exit(130)

    def fails() -> None:
        try:
            raise LookupError
        except LookupError:
            sys.exit(130)

    assert of_a_signal(raised_by(leaves))
    assert not of_a_signal(raised_by(fails))


def test_another_handler_of_ctrl_c_raises_nothing() -> None:
    """Then an interrupt without a statement that raises it is no person's, such as one of a future."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def waits() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(KeyboardInterrupt())
        try:
            await future
        except KeyboardInterrupt as error:
            found.append(of_a_signal(error))

    found: list[bool] = []
    asyncio.run(waits())
    assert found == [False]


def test_other_threads_get_no_signals() -> None:
    """Python calls handlers in the main thread alone."""
    found: list[bool] = []
    error = raised_by(ctrl_c)
    thread = threading.Thread(target=lambda: found.append(of_a_signal(error)))
    thread.start()
    thread.join()
    assert found == [False]
