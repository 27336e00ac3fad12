"""``ringback simulate`` and ``ringback trigger``: calls without an Azure subscription."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator

    from ringback.testing.signing import Issuer


def add_simulate(command: argparse.ArgumentParser) -> None:
    """The options of ``ringback simulate``."""
    command.add_argument("--port", metavar="N", type=int, default=8765, help="on 127.0.0.1; 0 for any; default: 8765")
    command.add_argument("--scenario", metavar="NAME", help="what happens to every call; default: answered")
    command.add_argument("--tls", action="store_true", help="speak TLS, as from_connection_string wants")
    _add_common(command)
    command.add_argument("--list", action="store_true", help="list the scenarios and their numbers")


def add_trigger(command: argparse.ArgumentParser) -> None:
    """The options of ``ringback trigger``."""
    command.add_argument("scenario", metavar="SCENARIO", nargs="?", help="its name; see --list")
    command.add_argument("--to", metavar="URL", help="the callback endpoint")
    command.add_argument(
        "--delay", metavar="SECONDS", type=float, help="before each event; default: the scenario's own"
    )
    command.add_argument("--unsigned", action="store_true", help="send no token: the default without --issuer")
    _add_common(command)
    command.add_argument("--list", action="store_true", help="list the scenarios and their numbers")


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--scenarios", metavar="FILE", type=Path, help="a TOML file of your own scenarios")
    command.add_argument("--issuer", metavar="FILE", type=Path, help="sign with this private key; made if missing")
    command.add_argument("--audience", metavar="GUID", help="the audience of the tokens, as your verifier expects it")
    command.add_argument("--seed", metavar="N", type=int, help="the same ids in every run")


def simulate(arguments: argparse.Namespace, wait: Callable[[], object] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, or until ``wait`` returns; a line for each step."""
    from ringback.simulator import ACCESS_KEY, Simulator

    if arguments.list:
        return _list(arguments)
    simulator = Simulator(
        arguments.scenario,
        scenarios=arguments.scenarios,
        port=arguments.port,
        tls=arguments.tls,
        seed=arguments.seed,
        issuer=_issuer(arguments),
        say=_say,
    )
    with simulator as acs:
        _say(f"Call Automation, simulated, at {acs.url}; Ctrl-C ends it")
        # Without TLS it would be of no use: from_connection_string takes any endpoint for https.
        _say(f"connection string  {acs.connection_string}" if arguments.tls else f"access key         {ACCESS_KEY}")
        _say(f"key set            {acs.jwks_uri}  audience {acs.issuer.audience}")
        if acs.ca_file is not None:
            _say(f"trust              {acs.ca_file}")
        with _terminable():
            try:
                (wait or threading.Event().wait)()
            except KeyboardInterrupt:
                _say(f"ended; {len(acs.calls)} calls, {len(acs.callbacks)} callbacks")
    return 0


def trigger(arguments: argparse.Namespace) -> int:
    """Post one scenario. 1 if any of its events was not accepted in the end."""
    from ringback.simulator.trigger import trigger as post

    if arguments.list:
        return _list(arguments)
    if arguments.scenario is None or arguments.to is None:
        raise ConfigurationError("name a scenario and an endpoint: ringback trigger busy --to URL, or see --list")
    if arguments.unsigned and arguments.issuer is not None:
        raise ConfigurationError("--unsigned and --issuer say the opposite; give one of them")
    if arguments.delay is not None and not 0 <= arguments.delay <= 3600:
        raise ConfigurationError(f"delay {arguments.delay!r} is out of range; give 0 to 3600 seconds")
    callbacks = asyncio.run(
        post(
            arguments.scenario,
            arguments.to,
            scenarios=arguments.scenarios,
            issuer=_issuer(arguments),
            delay=arguments.delay,
            seed=arguments.seed,
            say=_say,
        )
    )
    # Of an event that was posted again, the last answer counts.
    last = {callback.body: callback.accepted for callback in callbacks}
    return 0 if all(last.values()) else 1


def _list(arguments: argparse.Namespace) -> int:
    from ringback.simulator.scenarios import Playbook, listed

    _say("\n".join(listed(Playbook(file=arguments.scenarios).known.values())))
    return 0


def _issuer(arguments: argparse.Namespace) -> Issuer | None:
    if arguments.issuer is not None:
        from ringback.simulator.trigger import issuer_of

        return issuer_of(arguments.issuer, arguments.audience)
    if arguments.audience is None:
        return None
    from ringback.testing.signing import Issuer

    return Issuer(audience=arguments.audience)


def _say(line: str) -> None:
    print(line, flush=True)


@contextmanager
def _terminable() -> Generator[None]:
    """SIGTERM ends the block as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
