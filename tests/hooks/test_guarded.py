"""One call of a function where nobody awaits its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.hooks.guarded import told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


@given(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()))
def test_the_answer_is_given_as_it_is(answer: object) -> None:
    """With the arguments as they are."""
    assert told(lambda one, two: (one, two, answer), 1, None) == (1, None, answer)


@pytest.mark.parametrize(
    "error",
    [StopIteration(), StopAsyncIteration(), SystemExit(), KeyboardInterrupt(), GeneratorExit(), BaseException()],
    ids=repr,
)
def test_whatever_is_raised_is_an_exception(error: BaseException) -> None:
    """An exception of the app must not end the thread of a request."""

    def raises() -> None:
        raise error

    with pytest.raises(RuntimeError, match=f"^the function raised {type(error).__name__}$") as raised:
        told(raises)
    assert raised.value.__cause__ is error


def test_an_exception_passes_unchanged() -> None:
    """It is the app's own."""
    error = LookupError("none")

    def raises() -> None:
        raise error

    with pytest.raises(LookupError) as raised:
        told(raises)
    assert raised.value is error


async def later() -> bool:
    raise AssertionError


class Later:
    def __await__(self) -> Generator[None, None, bool]:
        raise AssertionError


@pytest.mark.parametrize("function", [later, lambda: later(), Later], ids=["async", "returned", "awaitable"])
def test_an_awaitable_is_an_error_and_no_truth(function: Any) -> None:
    """Nobody awaits it, and Python warns of nothing: the warning would be an error of this test."""
    with pytest.raises(TypeError, match=r"^the function returned an awaitable where nobody awaits it;"):
        told(function)


async def test_a_task_is_an_error_and_goes_on() -> None:
    """It has a loop that runs it."""
    tasks: list[asyncio.Task[str]] = []

    def begins() -> asyncio.Task[str]:
        tasks.append(asyncio.ensure_future(asyncio.sleep(0, "done")))
        return tasks[0]

    with pytest.raises(TypeError, match="awaitable"):
        told(begins)
    assert await tasks[0] == "done"


def generator() -> Generator[int]:
    yield 1


async def async_generator() -> AsyncGenerator[int]:
    yield 1


@pytest.mark.parametrize("function", [generator, lambda: generator(), async_generator])
def test_a_generator_is_an_error(function: Any) -> None:
    """It is true, and nothing in it has run."""
    with pytest.raises(TypeError, match=r"^the function returned a generator, and nothing in it has run"):
        told(function)
