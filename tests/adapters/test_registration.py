"""What the decorators of the adapters refuse when they decorate: it would fail, or be passed over, at a delivery."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import TYPE_CHECKING, Any

import azure.functions as func
import pytest
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from flask import Flask
from flask.views import MethodView, View
from quart import Quart
from quart.views import MethodView as QuartMethodView

from ringback import CallbackHandler, OutcomeRouter, RegistrationError
from ringback.adapters import aiohttp, azure_functions, django, flask, quart
from ringback.testing import call_disconnected, delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    Views = type[View] | type[QuartMethodView]

ORIGIN = "eventgrid.azure.net"
ASKED = {"WebHook-Request-Origin": ORIGIN}
ADAPTERS = [aiohttp, flask, quart, django, azure_functions]


def handler() -> CallbackHandler:
    return CallbackHandler(OutcomeRouter(), auth=None)


@pytest.fixture(autouse=True)
def _django() -> None:
    """Its settings, which a process has once."""
    importlib.import_module("django_app")


async def view(req: Any) -> Any:
    return req


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__.rpartition(".")[2])
@pytest.mark.parametrize("given", [OutcomeRouter(), view, None], ids=["router", "view", "nothing"])
def test_what_is_no_handler_is_refused(adapter: Any, given: Any) -> None:
    """Also a view, where the parentheses with the handler are left out."""
    with pytest.raises(RegistrationError) as refused:
        adapter.callback(given)
    assert str(refused.value) == (
        f"callback({given!r}) is no decorator; write @callback(handler) with handler = CallbackHandler(router)"
    )


class Endpoint:
    """A class whose method is no view by itself."""

    def post(self, request: Any) -> Any:
        raise NotImplementedError


IN_CLASS = "list callback(handler) in the decorators of the class"
OF_DJANGO = "decorate what as_view() returns"


@pytest.mark.parametrize(
    ("adapter", "remedy"), [(flask, IN_CLASS), (quart, IN_CLASS), (django, OF_DJANGO)], ids=["flask", "quart", "django"]
)
@pytest.mark.parametrize(
    ("given", "what"),
    [
        pytest.param("/cb", "'/cb' is no view; decorate a function", id="path"),
        pytest.param(Endpoint, f"{__name__}.Endpoint is a class; ", id="class"),
        pytest.param(Endpoint.post, f"{__name__}.Endpoint.post is a method; ", id="method"),
    ],
)
def test_what_is_no_view_is_refused(adapter: Any, remedy: str, given: Any, what: str) -> None:
    """A method misses what the framework answers by itself, such as OPTIONS, or takes the object for the request."""
    with pytest.raises(RegistrationError) as refused:
        adapter.callback(handler())(given)
    assert str(refused.value) == f"callback {what}{remedy if what.endswith('; ') else ''}"


def sync(req: Any) -> Any:
    raise NotImplementedError


async def other(request: Any) -> Any:
    raise NotImplementedError


REGISTERED = func.FunctionApp().route(route="cb")(view)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "None is no function; decorate the function itself"),
        (
            sync,
            f"{__name__}.sync is not async; write async def, and @callback(handler) below @app.route",
        ),
        (
            REGISTERED,
            "azure.functions.decorators.function_app.FunctionBuilder is not async; write async def, and "
            "@callback(handler) below @app.route",
        ),
        (other, f"{__name__}.other has no parameter req; name the request's so"),
    ],
    ids=["nothing", "sync", "above the route", "another name"],
)
def test_a_function_that_the_host_could_not_call_is_refused(given: Any, message: str) -> None:
    """It would have answered 500 to every delivery."""
    with pytest.raises(RegistrationError) as refused:
        azure_functions.callback(handler())(given)
    assert str(refused.value) == f"callback {message}"


async def test_a_function_is_async_whatever_wraps_it() -> None:
    """A partial, and an object that is called."""

    class Called:
        async def __call__(self, req: func.HttpRequest) -> func.HttpResponse:
            return func.HttpResponse(f"called with {req.method}")

    async def with_more(req: func.HttpRequest, more: str) -> func.HttpResponse:
        return func.HttpResponse(more)

    made = handler()
    for function, answer in ((Called(), b"called with POST"), (functools.partial(with_more, more="more"), b"more")):
        decorated = azure_functions.callback(made)(function)
        request = func.HttpRequest("POST", "http://127.0.0.1/cb", body=delivery(call_disconnected(486, 560486)))
        assert (await decorated(request)).get_body() == answer
    await made.drain()


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that takes nothing over from the function."""
    return lambda *args, **kwargs: function(*args, **kwargs)


def named(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as it should be."""

    async def waits(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return functools.wraps(function)(waits if inspect.iscoroutinefunction(function) else plain(function))


def listed(made: CallbackHandler, base: Any = MethodView) -> dict[str, type[Any]]:
    """Classes of views that list the decorator, by what else they say."""
    adapter = flask if base is MethodView else quart
    ours = adapter.callback(made)

    class Alone(base):
        decorators = [ours]  # noqa: RUF012 - as Flask's documentation writes it

        def post(self) -> str:
            return "the view"

    class WithOthers(Alone):
        decorators = [named, adapter.callback(made), named]  # noqa: RUF012

    class UnderAPlainOne(Alone):
        decorators = [ours, plain]  # noqa: RUF012

    class Automatic(Alone):
        provide_automatic_options = True

    class Inherited(WithOthers):
        def get(self) -> str:
            return "a page"

    class Kept(Alone):
        init_every_request = False

    return {each.__name__: each for each in (Alone, WithOthers, UnderAPlainOne, Automatic, Inherited, Kept)}


CLASSES = ["Alone", "WithOthers", "UnderAPlainOne", "Automatic", "Inherited", "Kept"]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_of_flask_that_lists_the_decorator_answers_the_handshake(name: str) -> None:
    """Which is an OPTIONS request; the other OPTIONS requests, and deliveries, are answered as elsewhere."""
    made, app = handler(), Flask(__name__)
    app.add_url_rule("/cb", view_func=listed(made)[name].as_view("cb"))
    client = app.test_client()
    answer = client.options("/cb", headers=ASKED)
    assert (answer.status_code, answer.headers["webhook-allowed-origin"]) == (200, ORIGIN)
    answer = client.options("/cb")
    assert (answer.status_code, "webhook-allowed-origin" in answer.headers) == (200, False)
    assert {"OPTIONS", "POST"} <= {method.strip() for method in answer.headers["allow"].split(",")}
    assert client.post("/cb", data=delivery(call_disconnected(486, 560486))).text == "the view"
    assert client.post("/cb", data=b"no json").status_code == 400
    assert client.get("/cb").status_code == (200 if name == "Inherited" else 405)
    made.sync.drain()


def test_a_class_of_flask_without_methods_too() -> None:
    """Its one function has all of the methods that the class names, or GET."""
    made, app = handler(), Flask(__name__)

    class Whole(View):
        decorators = [flask.callback(made)]  # noqa: RUF012

        def dispatch_request(self) -> str:
            return "the view"

    app.add_url_rule("/cb", view_func=Whole.as_view("cb"))
    assert app.test_client().options("/cb", headers=ASKED).headers["webhook-allowed-origin"] == ORIGIN
    assert app.test_client().get("/cb").text == "the view"
    made.sync.drain()


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "UnderAPlainOne"])
async def test_a_class_of_quart_that_lists_the_decorator_answers_the_handshake(name: str) -> None:
    """As in Flask."""
    made, app = handler(), Quart(__name__)
    app.add_url_rule("/cb", view_func=listed(made, QuartMethodView)[name].as_view("cb"))
    client = app.test_client()
    answer = await client.options("/cb", headers=ASKED)
    assert (answer.status_code, answer.headers["webhook-allowed-origin"]) == (200, ORIGIN)
    answer = await client.options("/cb")
    assert (answer.status_code, "webhook-allowed-origin" in answer.headers) == (200, False)
    posted = await client.post("/cb", data=delivery(call_disconnected(486, 560486)))
    assert await posted.get_data() == b"the view"
    await made.drain()


def test_djangos_way_to_decorate_methods_works() -> None:
    """It makes functions of them, which a class of views asks for in this way."""
    from django.utils.decorators import method_decorator
    from django.views import View as DjangoView

    made = handler()

    @method_decorator(django.callback(made), name="dispatch")
    class Callbacks(DjangoView):
        def post(self, request: Any) -> HttpResponse:
            return HttpResponse(request.call_outcomes[0].cause)

    body = delivery(call_disconnected(486, 560486))
    answer = Callbacks.as_view()(RequestFactory().post("/cb", body, content_type="application/json"))
    assert (answer.status_code, answer.content) == (200, b"busy")
    made.sync.drain()


async def test_djangos_way_to_decorate_async_methods_works() -> None:
    """The same, in the server's loop."""
    from django.utils.decorators import method_decorator
    from django.views import View as DjangoView

    made = handler()

    class Callbacks(DjangoView):
        @method_decorator(django.callback(made))
        async def post(self, request: Any) -> HttpResponse:
            return HttpResponse(request.call_outcomes[0].cause)

    body = delivery(call_disconnected(486, 560486))
    request = AsyncRequestFactory().post("/cb", body, content_type="application/json")
    answer = await Callbacks.as_view()(request)
    assert (answer.status_code, answer.content) == (200, b"busy")
    await made.drain()
