"""The page over a day of calls, on this machine: python -m examples.operations_page"""

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

with tempfile.TemporaryDirectory() as folder:
    store, password = Path(folder, "ringback.db"), secrets.token_urlsafe(12)
    asyncio.run(fill(store, time.time()))
    print(
        f"{CALLS} calls are in the store. Open http://127.0.0.1:8000/ringback/ as on-call, password {password}",
        flush=True,
    )
    uvicorn.run(create_app(store, password=password), port=8000, access_log=False)
