"""A middleware with wrong settings ends the server's start with the reason, where its constructor raises too late.

Starlette and FastAPI make the middleware of ``app.add_middleware`` in their first call, for the lifespan. A server
takes an exception there for an app without lifespan: the server starts, and the app answers every request with 500. So
:func:`ends_the_start` keeps the constructor's error, and the object sends the error as ``lifespan.startup.failed``.
Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html#startup-failed-send-event
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]

Init = TypeVar("Init", bound="Callable[..., None]")


def ends_the_start(init: Init) -> Init:
    """Decorate the ``__init__`` of an ASGI middleware, which raises :class:`ConfigurationError`.

    Where Starlette makes the middleware late, the object keeps the error, fails the lifespan with it, and raises it
    for each request of a server that runs no lifespan. Elsewhere ``__init__`` raises. An unknown setting, which is a
    :class:`TypeError`, counts as such an error.
    """

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except (ConfigurationError, TypeError) as error:
            if not _is_made_late():
                raise
            self.__class__ = _Misconfigured
            self.error = error

    return cast("Init", checked)


class _Misconfigured:
    """Stands in place of the middleware, and lets no request through."""

    error: Exception

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> NoReturn:
        if scope["type"] == "lifespan":
            await fail_start(self.error, receive, send)
        raise self.error


async def fail_start(
    error: Exception, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> NoReturn:
    """Answer the server's start of the lifespan with the error, and raise the error.

    Starlette also raises after a failed lifespan, and Starlette's test client looks for the exception.
    """
    await receive()
    await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
    raise error


def _is_made_late() -> bool:
    """Whether Starlette's or FastAPI's method that makes the middleware of an app is among the callers."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "build_middleware_stack":
            return True
        frame = frame.f_back
    return False
