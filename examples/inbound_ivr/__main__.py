"""The app against the simulator, which calls it once: python -m examples.inbound_ivr"""

import threading
from dataclasses import replace

from ringback.exceptions import needs_extra
from ringback.simulator import ACCESS_KEY, SCENARIOS, Simulator

try:
    with needs_extra("this example", "demo"):
        import aiohttp  # noqa: F401 - the async client of the SDK needs it
        import uvicorn

        from .app import Settings, create_app
except ImportError as error:
    raise SystemExit(str(error)) from None

with Simulator(say=print) as acs:
    settings = Settings(
        endpoint=acs.url,
        access_key=ACCESS_KEY,
        resource_id=acs.issuer.audience,
        tenant=acs.issuer.tenant,
        app_id=acs.issuer.grid_audience,
        callbacks="http://127.0.0.1:8000/api/callbacks",
        speech="https://speech.invalid",
        jwks_uri=acs.jwks_uri,
    )
    caller = replace(SCENARIOS["connected"], tones="2")
    threading.Timer(2.0, acs.ring, ["http://127.0.0.1:8000/api/events"], {"scenario": caller}).start()
    uvicorn.run(create_app(settings), port=8000)
