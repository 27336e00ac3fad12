"""One call of a function of the app in the caller's thread: whatever goes wrong there is an Exception."""

from __future__ import annotations

import dis
import inspect
import signal
import threading
from typing import TYPE_CHECKING, Any

from ringback.hooks.signatures import bare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NONE: Mapping[str, object] = {}
"""No arguments by name."""


def returned(function: Callable[..., Any], arguments: tuple[object, ...], named: Mapping[str, object] = NONE) -> Any:
    """What the function returns, which may be awaitable.

    Raises an :class:`Exception` for whatever the function raises, and :class:`TypeError` for a generator, of which
    nothing has run. An exception that a signal raises goes through as it is.
    """
    try:
        value = function(*arguments, **named)
    except (StopIteration, StopAsyncIteration) as error:
        # A coroutine and a future cannot carry these two, and a loop of the caller would take one for its own end.
        raise failure(error) from error
    except Exception:
        raise
    except BaseException as error:
        if of_a_signal(error):
            raise
        raise failure(error) from error
    return None if value is None else finished(value)


def told(function: Callable[..., Any], *arguments: object) -> Any:
    """As :func:`returned`, for a caller that awaits nothing: :class:`TypeError` for an awaitable."""
    return refuse_awaitable(returned(function, arguments))


def refuse_awaitable(value: Any) -> Any:
    """The value. Raises :class:`TypeError` for an awaitable, which nobody awaits any more."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            # Python warns of a coroutine that nobody awaits.
            value.close()
        raise TypeError("the function returned an awaitable where nobody awaits it; return the value itself")
    return value


def finished(value: Any) -> Any:
    """The value. Raises :class:`TypeError` for a generator, which a function returns before the function has run."""
    if inspect.isasyncgen(value) or (inspect.isgenerator(value) and not inspect.isawaitable(value)):
        raise TypeError("the function returned a generator, and nothing in it has run; return the value itself")
    return value


def failure(error: BaseException) -> RuntimeError:
    """What stands in place of an exception that callers do not expect."""
    return RuntimeError(f"the function raised {type(error).__name__}")


def of_a_signal(error: BaseException) -> bool:
    """Whether a signal raised ``error``, as Ctrl-C and a server's SIGTERM do, and not a function of the app.

    A function may also answer the exception of a signal with one of its own, such as ``sys.exit()``.
    """
    if threading.current_thread() is not threading.main_thread():
        # Python calls the handlers of signals in the main thread, between two instructions of whatever runs there.
        return False
    handlers = [handler for number in signal.valid_signals() if callable(handler := signal.getsignal(number))]
    return any(_raised_by(handlers, each) for each in (error, error.__context__) if isinstance(each, _ENDING))


def _raised_by(handlers: Sequence[Callable[..., Any]], error: BaseException) -> bool:
    codes = {getattr(bare(handler), "__code__", None) for handler in handlers}
    instruction: int | None = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code in codes:
            return True
        instruction, trace = code.co_code[trace.tb_lasti], trace.tb_next
    # Python's own handler of SIGINT has no frame: the exception appears at an instruction that raises nothing.
    return signal.default_int_handler in handlers and isinstance(error, KeyboardInterrupt) and instruction != _RAISE


_ENDING = (KeyboardInterrupt, SystemExit)
_RAISE = dis.opmap["RAISE_VARARGS"]
