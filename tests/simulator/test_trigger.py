"""`ringback trigger` and `ringback simulate`, as they are typed."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

from ringback.cli import _simulate, main
from ringback.simulator import SCENARIOS
from ringback.simulator.trigger import issuer_of, trigger
from ringback.testing.signing import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Capture = pytest.CaptureFixture


def test_one_scenario_is_posted_and_each_answer_printed(app: Any, capsys: Capture[str]) -> None:
    """The hook is called as for a real call; 0 if all was accepted."""
    assert main(["trigger", "busy", "--to", app.url, "--delay", "0", "--seed", "1"]) == 0
    bare = app.url.partition("?")[0]
    assert capsys.readouterr().out.splitlines() == [
        f"-> CallDisconnected to {bare}?[...]: 200",
        f"-> CreateCallFailed to {bare}?[...]: 200",
    ]
    [(disposition, cause, _)] = app.ended()
    assert (disposition, cause) == ("retryable", "busy")


def test_a_signed_scenario_is_accepted_and_an_unsigned_one_is_not(
    tmp_path: Path, start: Callable[..., Any], capsys: Capture[str]
) -> None:
    """The key file is made once and serves both the verifier and the sender."""
    key = tmp_path / "issuer.pem"
    app = start(auth=issuer_of(key).verifier())
    assert key.stat().st_mode & 0o777 == 0o600
    to = ["--to", app.url]
    assert main(["trigger", "busy", *to, "--issuer", str(key)]) == 0
    assert main(["trigger", "busy", *to, "--issuer", str(key), "--audience", "somebody-else"]) == 1
    assert main(["trigger", "busy", *to, "--unsigned"]) == 1
    assert main(["trigger", "busy", *to, "--audience", AUDIENCE]) == 1
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()] == ["200", "200", *["401"] * 6]


def test_a_result_is_posted(app: Any, capsys: Capture[str]) -> None:
    """One event with it, in place of a scenario; what the carrier said with its words."""
    command = ["trigger", "603#0", "--event", "createcallfailed", "--sip", "603 Network Blocked", "--q850", "21"]
    assert main([*command, "--to", app.url]) == 0
    assert capsys.readouterr().out.splitlines() == [f"-> CreateCallFailed to {app.url.partition('?')[0]}?[...]: 200"]
    [(disposition, cause, _)] = app.ended()
    assert (disposition, cause) == ("terminal", "blocked")


def test_what_is_delivered_in_the_end_counts(app: Any) -> None:
    """A flaky endpoint that takes it the second time."""
    app.refusals = 1
    assert main(["trigger", "flaky", "--to", app.url, "--delay", "0"]) == 0


async def test_it_can_be_called_from_a_program(app: Any) -> None:
    """And gives what was posted; waits as the scenario does."""
    callbacks = await trigger(SCENARIOS["old_api"], app.url)
    assert [(callback.events, callback.status) for callback in callbacks] == [(("CallDisconnected",), 200)]


def test_scenarios_are_listed(capsys: Capture[str]) -> None:
    """With the numbers that lead to them."""
    assert main(["trigger", "--list"]) == 0
    listed = capsys.readouterr().out
    assert main(["simulate", "--list"]) == 0
    assert capsys.readouterr().out == listed
    assert [line.split()[0] for line in listed.splitlines()] == list(SCENARIOS)
    assert "busy                  +15550100486  is on another call" in listed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trigger"], "name a scenario and an endpoint"),
        (["trigger", "bsy", "--to", "http://127.0.0.1"], "did you mean 'busy'"),
        (["trigger", "ringing", "--to", "http://127.0.0.1"], "has no events to post"),
        (["trigger", "busy", "--to", "app"], "is no http(s) URL"),
        (["trigger", "busy", "--to", "http://127.0.0.1", "--delay", "-1"], "'-1' is no number of seconds"),
        (["trigger", "busy", "--to", "http://127.0.0.1", "--delay", "3601"], "delay 3601.0 is out of range"),
        (["trigger", "busy", "--to", "http://127.0.0.1", "--unsigned", "--issuer", "x"], "say the opposite"),
        (["trigger", "busy", "--to", "http://127.0.0.1", "--issuer", "/nowhere/key"], "cannot be used"),
        (["simulate", "--scenario", "bsy"], "did you mean 'busy'"),
        (["trigger", "busy", "--to", "http://127.0.0.1", "--sip", "486"], "go with a result"),
        (
            ["trigger", "486/0", "--to", "http://127.0.0.1", "--event", "CreatCallFailed"],
            "did you mean 'CreateCallFailed'",
        ),
        (["trigger", "486/0", "--to", "http://127.0.0.1", "--event", "X"], "write for example CreateCallFailed"),
        (["trigger", "486/0", "--to", "http://127.0.0.1", "--event", ""], "write for example CreateCallFailed"),
        (["trigger", "486/0", "--to", "http://127.0.0.1", "--sip", "x y"], "sip 'x' is not a whole number"),
    ],
)
def test_bad_input_is_told_in_a_line(arguments: list[str], said: str, capsys: Capture[str]) -> None:
    """2, as for every command."""
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["none", "elliptic"])
def test_a_file_without_an_rsa_key_is_no_issuer(kind: str, tmp_path: Path, capsys: Capture[str]) -> None:
    """Microsoft signs with RSA, and verifiers take nothing else."""
    from ringback.simulator.authority import certificate_in

    files = certificate_in(tmp_path)
    if kind == "none":
        files.key.write_bytes(b"a letter")
    assert main(["trigger", "busy", "--to", "http://127.0.0.1", "--issuer", str(files.key)]) == 2
    assert ("holds no private key" if kind == "none" else "not RSA") in capsys.readouterr().err


def options(**given: Any) -> Namespace:
    settings: dict[str, Any] = {
        "scenario": None,
        "scenarios": None,
        "port": 0,
        "tls": False,
        "seed": None,
        "speed": 1.0,
    }
    settings |= {"ring": None, "caller": None, "callee": None, "every": None, "schema": None}
    settings |= {"recording": None, "call": None, "grid": None}
    return Namespace(**settings | {"issuer": None, "audience": None, "list": False} | given)


def test_simulate_serves_until_it_is_ended(capsys: Capture[str]) -> None:
    """By SIGTERM as by Ctrl-C; says how to reach it, and what it has done."""
    before = signal.getsignal(signal.SIGTERM)
    assert _simulate.simulate(options(), lambda: os.kill(os.getpid(), signal.SIGTERM)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["Call", "access", "key", "ended;"]
    assert lines[1].endswith("  from_connection_string needs --tls")
    assert lines[-1] == "ended; 0 calls, 0 callbacks"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_before_the_wait_ends_the_simulator() -> None:
    """No wait is without an end: Python would not wake one that begins just after a signal."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _simulate.until_interrupted(sleep)
    assert waits == [1.0, 1.0]


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_simulate_with_tls_says_whom_to_trust(
    capsys: Capture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """By lines for a shell; and a connection string, which works only so."""
    monkeypatch.setattr(sys, "platform", platform)
    folder = tmp_path / "my caches" / "ringback"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent))
    if platform == "win32":
        monkeypatch.setenv("LOCALAPPDATA", str(folder.parent))
        folder /= "Cache"
    assert _simulate.simulate(options(tls=True), lambda: None) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["Call", "connection", "key", "set"]
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    form = "$env:{} = '{}'" if platform == "win32" else "export {}='{}'"
    assert lines[4:] == [form.format(name, folder / "trusted.pem") for name in names]
    assert "endpoint=https://127.0.0.1:" in lines[1]
