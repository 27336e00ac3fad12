"""The app of a server's process: ``python -m uvicorn served:app`` with the name of a candidate in the environment."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import apps
import frameworks
import loglines
from frameworks import SETTLE

if TYPE_CHECKING:
    from traffic import App

NAMES = {
    apps.BARE: apps.Candidate(lambda: apps.starlette(apps.bare)),
    "ringback": apps.Candidate(lambda: apps.ringback(settle=SETTLE), loglines.configured),
    "ringback, hooks called": apps.Candidate(lambda: apps.ringback(hooks=True, settle=SETTLE), loglines.configured),
    "ringback, route uses the outcomes": apps.Candidate(
        lambda: apps.ringback(apps.reads_outcomes, settle=SETTLE), loglines.configured
    ),
    "sample style, as published": apps.CANDIDATES["sample style, as published"],
    "sample style, same work": apps.CANDIDATES["sample style, same work"],
}
FRAMEWORKS = {"Starlette": NAMES, "FastAPI": frameworks.FASTAPI, "Flask": frameworks.FLASK}
"""What is compared over sockets, by the framework of the apps."""


def _kept(store: str | None, route: apps.Endpoint = apps.bare) -> App:
    """A hook waits for every call, and is not called while the server is measured."""
    return apps.ringback(route, hooks=True, store=store)


def _frozen(app: App) -> App:
    """As an app is that keeps the garbage collector away from all that is there once it has started."""
    gc.collect()
    gc.freeze()
    return app


ACKNOWLEDGED = {
    apps.BARE: apps.Candidate(lambda: apps.starlette(apps.bare)),
    "without store": apps.Candidate(lambda: _kept(None), loglines.plain),
    "sqlite": apps.Candidate(lambda: _kept(os.environ["STORE"]), loglines.plain),
    "sqlite, route uses the outcomes": apps.Candidate(
        lambda: _kept(os.environ["STORE"], apps.reads_outcomes), loglines.plain
    ),
    "sqlite, gc.freeze()": apps.Candidate(lambda: _frozen(_kept(os.environ["STORE"])), loglines.plain),
    "sample style, as published": apps.CANDIDATES["sample style, as published"],
    "sample style, through logging": apps.Candidate(apps.sample("one_line"), loglines.through_logging),
    "sample style, same work": apps.CANDIDATES["sample style, same work"],
}
"""What is compared in durable.py."""

if "CANDIDATE" in os.environ:
    _candidate = (ACKNOWLEDGED | FRAMEWORKS[os.environ["FRAMEWORK"]])[os.environ["CANDIDATE"]]
    _candidate.log()
    app = _candidate.make()
