"""Verdicts of your own over the catalog's. Run with: python examples/overrides.py

The file is checked when it is read: a wrong key or an impossible row stops the app at its start,
with the row and the remedy. The same file serves `ringback explain --overrides FILE`.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, Catalog, OutcomeRouter, classify

ours = Catalog.default().with_overrides(Path(__file__).with_name("overrides.toml"))
router = OutcomeRouter(catalog=ours)


async def callbacks(request: Request) -> Response:
    return JSONResponse({"received": len(request.state.call_outcomes)})


def create_app() -> Starlette:
    """An app whose callbacks are judged by our catalog."""
    app = Starlette(routes=[Route("/api/callbacks", callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, auth=None, path="/api/callbacks")
    return app


def main() -> None:
    for code, subcode in ((480, 560480), (503, 599001), (486, 560486)):
        theirs, own = classify(None, code, subcode), classify(None, code, subcode, catalog=ours)
        print(f"{code}/{subcode}: {theirs.cause} {theirs.retry_class} -> {own.cause} {own.retry_class}")


if __name__ == "__main__":
    main()
