"""The app against the simulator, on this machine: python -m examples.outbound_reminders"""

import tempfile
from pathlib import Path

from ringback import RedialPolicy
from ringback.exceptions import needs_extra
from ringback.simulator import ACCESS_KEY, Simulator

try:
    with needs_extra("this example", "demo"):
        import aiohttp  # noqa: F401 - the async client of the SDK needs it
        import uvicorn

        from .app import Settings, create_app
except ImportError as error:
    raise SystemExit(str(error)) from None

with Simulator() as acs, tempfile.TemporaryDirectory() as folder:
    settings = Settings(
        endpoint=acs.url,
        access_key=ACCESS_KEY,
        resource_id=acs.issuer.audience,
        jwks_uri=acs.jwks_uri,
        caller="+15550100100",
        callbacks="http://127.0.0.1:8000/api/callbacks",
        speech="https://speech.invalid",
        database=str(Path(folder, "reminders.db")),
        store=f"sqlite:///{Path(folder, 'ringback.db')}",
        # Nobody is rung: the demo has to work at any hour.
        policy=RedialPolicy(delays={"busy": 5, "no_answer": 5}, hours=None),
    )
    uvicorn.run(create_app(settings), port=8000)
