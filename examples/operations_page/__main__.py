"""The page over a day of calls, on this machine: python -m examples.operations_page"""

import argparse
import asyncio
import secrets
import tempfile
import time
from pathlib import Path

from ringback.exceptions import needs_extra

try:
    with needs_extra("this example", "demo"):
        import jinja2  # noqa: F401 - the page needs it
        import uvicorn

        from .app import create_app
        from .day import CALLS, fill
except ImportError as error:
    raise SystemExit(str(error)) from None

parser = argparse.ArgumentParser(prog="python -m examples.operations_page", description=__doc__)
parser.add_argument("--calls", type=int, default=CALLS, help="of the made-up day; default: %(default)s")
# Whoever runs the example from a program of their own has arguments for that program.
calls = parser.parse_known_args()[0].calls
if calls < 1:
    parser.error(f"--calls {calls} is no number of calls; give 1 or more")

with tempfile.TemporaryDirectory() as folder:
    store, password = Path(folder, "ringback.db"), secrets.token_urlsafe(12)
    asyncio.run(fill(store, time.time(), calls))
    print(
        f"{calls} calls are in the store. Open http://127.0.0.1:8000/ringback/ as on-call, password {password}",
        flush=True,
    )
    uvicorn.run(create_app(store, password=password), port=8000, access_log=False)
