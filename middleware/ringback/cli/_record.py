"""``ringback record``: a proxy that keeps the deliveries of a real app."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringback.exceptions import needs_extra

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable

    Serve = Callable[[Any, socket.socket], object]


def add_record(command: argparse.ArgumentParser) -> None:
    """The options of ``ringback record``."""
    command.add_argument("--to", metavar="URL", required=True, help="the origin of your app: http://127.0.0.1:8000")
    command.add_argument("--out", metavar="FILE", type=Path, required=True, help="a new file for the recording")
    command.add_argument("--port", metavar="N", type=int, default=8766, help="on 127.0.0.1; 0 for any; default: 8766")
    command.add_argument(
        "--texts", action="store_true", help="keep what people said and pressed, and your operation contexts"
    )


def record(arguments: argparse.Namespace, serve: Serve | None = None) -> int:
    """Forward requests until Ctrl-C or SIGTERM, or until ``serve`` returns. Print a line for every request."""
    from ringback.cli._simulate import say, terminable
    from ringback.simulator.recordings.proxy import Proxy, forwarding, origin
    from ringback.simulator.recordings.pseudonyms import Pseudonyms
    from ringback.simulator.recordings.recorder import Recorder, opened
    from ringback.simulator.server import listening

    to = origin(arguments.to)
    with listening(arguments.port) as sock, opened(arguments.out) as file:
        recorder = Recorder(file, Pseudonyms(texts=arguments.texts), say)
        say(f"http://127.0.0.1:{sock.getsockname()[1]} forwards to {to}, and deliveries go to {arguments.out}")
        say("send callbacks here in place of your app; Ctrl-C ends it")
        with terminable(), suppress(KeyboardInterrupt):
            (serve or _serve)(Proxy(forwarding(to), recorder), sock)
        say(f"ended; {recorder.kept} deliveries in {arguments.out}")
    return 0


def _serve(app: Any, sock: socket.socket) -> None:
    with needs_extra("recording", "simulator"):
        import uvicorn
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        # The answer is the app's.
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[sock])
