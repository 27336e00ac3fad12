"""What the decorators of the adapters leave of a route's type. Never run: mypy and pyright read it."""

from __future__ import annotations

from typing import assert_type

from aiohttp import web
from azure.functions import HttpRequest, HttpResponse
from flask import Flask
from flask.views import MethodView
from quart import Quart

from ringback import CallbackHandler, OutcomeRouter
from ringback.adapters import aiohttp, azure_functions, django, flask, quart

handler = CallbackHandler(OutcomeRouter(store="sqlite:///ringback.db"), auth=None)
flask_app, quart_app = Flask(__name__), Quart(__name__)


@flask_app.post("/flask/<context_id>")
@flask.callback(handler)
def of_flask(context_id: str) -> tuple[str, int]:
    return context_id, 200


class OfFlask(MethodView):
    decorators = [flask.callback(handler)]  # noqa: RUF012 - Flask's own type is a list


@quart_app.post("/quart/<context_id>")
@quart.callback(handler)
async def of_quart(context_id: str) -> str:
    return context_id


@quart.callback(handler)
def of_quart_sync(context_id: str) -> str:
    return context_id


@django.callback(handler)
async def of_django(request: object, context_id: str) -> str:
    return context_id


@aiohttp.callback(handler)
async def of_aiohttp(request: web.Request) -> web.Response:
    return web.Response(text=request[aiohttp.OUTCOMES][0].summary)


@azure_functions.callback(handler)
async def of_functions(req: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def directly(request: web.Request, req: HttpRequest) -> None:
    assert_type(of_flask("7"), tuple[str, int])
    assert_type(await of_django(request, "7"), str)
    assert_type(await of_functions(req), HttpResponse)
    response: web.Response = await of_aiohttp(request)
    await of_quart("7")
    await of_quart_sync("7")
    of_flask(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await of_quart(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await of_django("7")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await of_aiohttp(response)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# A sync handler of aiohttp, or a sync function of Azure, is none.


@aiohttp.callback(handler)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def sync_of_aiohttp(request: web.Request) -> web.Response:
    return web.Response()
