"""The app of a server's process: ``python -m uvicorn served:app`` with the name of a candidate in the environment."""

from __future__ import annotations

import os

import apps
import loglines

SETTLE = 1.0
"""Seconds, as an app has it: what is to be done after the answer is done while the server is measured."""

NAMES = {
    apps.BARE: apps.Candidate(lambda: apps.starlette(apps.bare)),
    "no-op middleware": apps.CANDIDATES["no-op middleware"],
    "ringback": apps.Candidate(lambda: apps.ringback(settle=SETTLE), loglines.configured),
    "ringback, hooks called": apps.Candidate(lambda: apps.ringback(hooks=True, settle=SETTLE), loglines.configured),
    "ringback, route uses the outcomes": apps.Candidate(
        lambda: apps.ringback(apps.reads_outcomes, settle=SETTLE), loglines.configured
    ),
    "sample style, as published": apps.CANDIDATES["sample style, as published"],
    "sample style, same work": apps.CANDIDATES["sample style, same work"],
    "FastAPI, same work": apps.CANDIDATES["FastAPI, same work"],
}
"""What is compared over sockets."""

if "CANDIDATE" in os.environ:
    _candidate = NAMES[os.environ["CANDIDATE"]]
    _candidate.log()
    app = _candidate.make()
