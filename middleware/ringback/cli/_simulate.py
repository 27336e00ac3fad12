"""``ringback simulate`` and ``ringback trigger``: calls without an Azure subscription."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.cli import _incoming
from ringback.cli._outcomes import pair_in, status, whole
from ringback.cli._record import add_replay, replayed, terminable
from ringback.cli._screen import say
from ringback.cli._values import factor, integer, seconds
from ringback.exceptions import ConfigurationError
from ringback.settings import nearest
from ringback_catalog import event_name

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ringback.simulator.courier import Callback
    from ringback.simulator.scenarios import Scenario
    from ringback.testing.signing import Issuer


def add_simulate(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--port", metavar="N", type=integer, default=8765, help="on 127.0.0.1; 0 for any; default: 8765"
    )
    command.add_argument("--scenario", metavar="NAME", help="what happens to every call; default: answered")
    command.add_argument(
        "--speed", metavar="N", type=factor, default=1.0, help="N times as fast as people talk and type; default: 1"
    )
    command.add_argument("--tls", action="store_true", help="speak TLS, as from_connection_string wants")
    command.add_argument("--grid", metavar="URL", help="where Event Grid tells of the files of recordings")
    _incoming.add_ring(command)
    _add_common(command)


def add_trigger(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "scenario",
        metavar="SCENARIO",
        nargs="?",
        help="its name, see --list; or a result to post, such as 486/560486; or incoming, a call that comes in",
    )
    command.add_argument("--event", metavar="E", help="the event that reports a result; default: CallDisconnected")
    command.add_argument("--sip", metavar="N", help="its SIP status, also with words: '603 Network Blocked'")
    command.add_argument("--q850", metavar="N", help="its Q.850 cause")
    command.add_argument("--to", metavar="URL", help="the callback endpoint")
    command.add_argument(
        "--delay", metavar="SECONDS", type=seconds, help="before each event; default: the scenario's own"
    )
    _incoming.add_trigger(command)
    command.add_argument("--unsigned", action="store_true", help="send no token: the default without --issuer")
    _add_common(command)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--scenarios", metavar="FILE", type=Path, help="a TOML file of your own scenarios")
    command.add_argument("--issuer", metavar="FILE", type=Path, help="sign with this private key; made if missing")
    command.add_argument("--audience", metavar="GUID", help="the audience of the tokens, as your verifier expects it")
    add_replay(command)
    command.add_argument("--seed", metavar="N", type=integer, help="the same ids in every run")
    command.add_argument("--list", action="store_true", help="list the scenarios and their numbers")


def simulate(arguments: argparse.Namespace, wait: Callable[[], object] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, or until ``wait`` returns. Print a line for every step."""
    from ringback.simulator import ACCESS_KEY, Simulator

    if arguments.list:
        return _list(arguments)
    arrival = _incoming.arrival_of(arguments)
    authority = None
    if arguments.tls:
        from ringback.simulator.authority import cache_folder, kept

        authority = kept(cache_folder(os.environ, sys.platform, Path.home()), os.environ)
    simulator = Simulator(
        replayed(arguments, whole=False) or arguments.scenario,
        scenarios=arguments.scenarios,
        port=arguments.port,
        tls=arguments.tls,
        authority=authority,
        speed=arguments.speed,
        seed=arguments.seed,
        issuer=_issuer(arguments),
        say=say,
        arrival=arrival,
        grid=arguments.grid,
    )
    with simulator as acs:
        say(f"Call Automation, simulated, at {acs.url}; Ctrl-C ends it")
        # Without TLS a connection string is of no use: from_connection_string reads every endpoint as https.
        if arguments.tls:
            say(f"connection string  {acs.connection_string}")
        else:
            say(f"access key         {ACCESS_KEY}  from_connection_string needs --tls")
        say(f"key set            {acs.jwks_uri}  audience {acs.issuer.audience}")
        if authority is not None:
            say("set these in the shell of your app, so that it trusts the simulator beside all that it trusts now:")
            for name, file in authority.environment.items():
                say(_exported(name, file))
        with terminable():
            try:
                with _incoming.ringing(acs, arrival, arguments.every, say):
                    (wait or until_interrupted)()
            except KeyboardInterrupt:
                say(f"ended; {len(acs.calls)} calls, {len(acs.callbacks)} callbacks")
    return 0


def until_interrupted(sleep: Callable[[float], object] = time.sleep) -> None:
    """Wait for an exception, such as a signal's."""
    while True:
        # Python wakes no wait that begins just after a signal: a wait without an end would miss that signal.
        sleep(1.0)


def trigger(arguments: argparse.Namespace) -> int:
    """Post one scenario. 1 if the app refused an event at the last attempt."""
    from ringback.simulator.trigger import trigger as post

    if arguments.list:
        return _list(arguments)
    if arguments.scenario == "incoming":
        return _incoming.trigger(arguments, _issuer(arguments), say)
    if (arguments.caller, arguments.schema, arguments.simulator) != (None, None, None):
        raise ConfigurationError(
            "--from, --schema and --simulator go with a call that comes in: ringback trigger incoming --to URL"
        )
    if arguments.to is None or (arguments.scenario is None and arguments.recording is None):
        raise ConfigurationError("name a scenario and an endpoint: ringback trigger busy --to URL, or see --list")
    if arguments.unsigned and arguments.issuer is not None:
        raise ConfigurationError("--unsigned and --issuer say the opposite; give one of them")
    if arguments.delay is not None and arguments.delay > 3600:
        raise ConfigurationError(f"delay {arguments.delay!r} is out of range; give 0 to 3600 seconds")
    recorded: list[str | Scenario] = [*replayed(arguments, whole=True)]
    chosen = recorded or [_scenario(arguments)]

    async def post_all() -> list[list[Callback]]:
        posts = (
            post(
                each,
                arguments.to,
                scenarios=arguments.scenarios,
                issuer=_issuer(arguments),
                delay=arguments.delay,
                # Each call has ids of its own.
                seed=None if arguments.seed is None else arguments.seed + number,
                say=say,
            )
            for number, each in enumerate(chosen)
        )
        return await asyncio.gather(*posts)

    callbacks = [callback for one in asyncio.run(post_all()) for callback in one]
    # The last answer counts for an event that was posted again.
    last = {callback.body: callback.accepted for callback in callbacks}
    return 0 if all(last.values()) else 1


def _scenario(arguments: argparse.Namespace) -> str | Scenario:
    """The name of a scenario, or for a result in the name's place a scenario whose only event reports the result."""
    from ringback.simulator.scenarios import Scenario, Step
    from ringback.testing.events import BUILDERS

    name: str = arguments.scenario
    pair = pair_in(name)
    if pair is None:
        if (arguments.event, arguments.sip, arguments.q850) != (None, None, None):
            raise ConfigurationError(
                "--event, --sip and --q850 go with a result; write for example: ringback trigger 486/560486 --to URL"
            )
        return name
    event = event_name("CallDisconnected" if arguments.event is None else arguments.event)
    if event not in BUILDERS:
        hint = nearest(event, BUILDERS) or "; write for example CreateCallFailed"
        raise ConfigurationError(f"event {arguments.event!r} is none that Call Automation sends{hint}")
    step = Step(
        event=event,
        code=whole("code", pair[0]),
        subcode=whole("subcode", pair[1]),
        sip=status(arguments.sip),
        q850=whole("q850", arguments.q850),
    )
    return Scenario(name=f"{pair[0]}/{pair[1]}", steps=(step,))


def _list(arguments: argparse.Namespace) -> int:
    from ringback.simulator.playbook import Playbook, listed

    say("\n".join(listed(Playbook(file=arguments.scenarios).known.values())))
    return 0


def _issuer(arguments: argparse.Namespace) -> Issuer | None:
    if arguments.issuer is not None:
        from ringback.simulator.trigger import issuer_of

        return issuer_of(arguments.issuer, arguments.audience)
    if arguments.audience is None:
        return None
    from ringback.testing.signing import Issuer

    return Issuer(audience=arguments.audience)


def _exported(name: str, value: Path) -> str:
    """The line that sets a variable in a shell of this machine."""
    return f"$env:{name} = '{value}'" if sys.platform == "win32" else f"export {name}={shlex.quote(str(value))}"
