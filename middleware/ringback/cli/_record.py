"""``ringback record``, a proxy that keeps the deliveries of a real app; and the options that replay a recording."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringback.cli._screen import say
from ringback.cli._values import integer
from ringback.exceptions import ConfigurationError, needs_extra

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable, Generator

    from ringback.simulator.scenarios import Scenario

    Serve = Callable[[Any, socket.socket], object]


def add_record(command: argparse.ArgumentParser) -> None:
    command.add_argument("--to", metavar="URL", required=True, help="the origin of your app: http://127.0.0.1:8000")
    command.add_argument("--out", metavar="FILE", type=Path, required=True, help="a new file for the recording")
    command.add_argument(
        "--port", metavar="N", type=integer, default=8766, help="on 127.0.0.1; 0 for any; default: 8766"
    )
    command.add_argument(
        "--texts", action="store_true", help="keep what people said and pressed, and your operation contexts"
    )


def record(arguments: argparse.Namespace, serve: Serve | None = None) -> int:
    """Forward requests until Ctrl-C or SIGTERM, or until ``serve`` returns. Print a line for every request."""
    from ringback.simulator.recordings.proxy import Proxy, forwarding, origin
    from ringback.simulator.recordings.pseudonyms import Pseudonyms
    from ringback.simulator.recordings.recorder import Recorder, opened
    from ringback.simulator.server import listening

    to = origin(arguments.to)
    # Before the file is made: who installs what is missing and tries again has to name a new file.
    serve = serve or _server()
    with listening(arguments.port) as sock, opened(arguments.out) as file:
        recorder = Recorder(file, Pseudonyms(texts=arguments.texts), say)
        say(f"http://127.0.0.1:{sock.getsockname()[1]} forwards to {to}, and deliveries go to {arguments.out}")
        say("send callbacks here in place of your app; Ctrl-C ends it")
        with terminable(), suppress(KeyboardInterrupt):
            serve(Proxy(forwarding(to), recorder), sock)
        say(f"ended; {recorder.kept} deliveries in {arguments.out}")
    return 0


def _server() -> Serve:
    with needs_extra("recording", "simulator"):
        import uvicorn

    def serve(app: Any, sock: socket.socket) -> None:
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

    return serve


def add_replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recording", metavar="FILE", type=Path, help="what ringback record has written")
    command.add_argument("--call", metavar="NAME", help="only this call of the recording, such as call-1")


def replayed(arguments: argparse.Namespace, *, whole: bool) -> list[Scenario]:
    """The scenarios of ``--recording``: of whole calls, or of calls that a client plays. Empty without the option.

    Raises :class:`ConfigurationError` for options that do not go together.
    """
    from ringback.simulator.recordings.replay import played_calls, whole_calls

    if arguments.recording is None:
        if arguments.call is not None:
            raise ConfigurationError("--call names a call of a recording; add --recording FILE")
        return []
    if arguments.scenario is not None:
        raise ConfigurationError("a scenario and --recording say the opposite; give one of them")
    found = (whole_calls if whole else played_calls)(arguments.recording, arguments.call)
    for each in found:
        print(f"{each.name}: {each.about}")
    return found


@contextmanager
def terminable() -> Generator[None]:
    """Within the block SIGTERM raises :class:`KeyboardInterrupt`, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
