"""Where an exception that ends a process comes from: a signal, or code of the app."""

from __future__ import annotations

import dis
import signal
import threading
from typing import TYPE_CHECKING, Any

from ringback.hooks.signatures import bare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
