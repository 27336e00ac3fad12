"""What a decorator refuses when it decorates, since it would fail, or be passed over, at the first delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.exceptions import RegistrationError
from ringback.hooks.signatures import handler_name, is_method
from ringback.web.handler import CallbackHandler

if TYPE_CHECKING:
    from collections.abc import Iterable


def refuse_no_handler(handler: object) -> None:
    """Raise :class:`RegistrationError` for what is no handler: a router, or a view without ``(handler)`` between."""
    if not isinstance(handler, CallbackHandler):
        raise RegistrationError(
            f"callback({handler!r}) is no decorator; write @callback(handler) with handler = CallbackHandler(router)"
        )


def refuse_no_view(view: object, class_based: str) -> None:
    """Raise :class:`RegistrationError` for what is no view. ``class_based`` says how to decorate a view of a class."""
    if not callable(view):
        raise RegistrationError(f"callback {view!r} is no view; decorate a function")
    if isinstance(view, type) or is_method(view):
        kind = "class" if isinstance(view, type) else "method"
        raise RegistrationError(f"callback {handler_name(view)} is a {kind}; {class_based}")


def open_to_options(classes: Iterable[Any], decorator: object) -> None:
    """Let OPTIONS requests through to the view classes that list the decorator, for the handshake of CloudEvents.

    ``as_view()`` of Flask and Quart overwrites what a decorator says of these requests with what the class says.
    """
    for view_class in classes:
        if decorator in (view_class.decorators or ()):
            view_class.provide_automatic_options = False
            view_class.methods = {*(view_class.methods or ("GET",)), "OPTIONS"}
        open_to_options(view_class.__subclasses__(), decorator)
