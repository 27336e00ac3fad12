"""Scenarios by number and out of a TOML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ringback.exceptions import ConfigurationError
from ringback.simulator import SCENARIOS, Answer, Step
from ringback.simulator.playbook import Playbook

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
default = ["busy", "answered"]

[numbers]
"+15550100001" = "hasty"
"+15550100002" = ["no_answer", "full"]

[scenarios.hasty]
about = "picks up and is gone"
number = "+15550100009"
steps = [
  { event = "CallConnected", after = 0.2 },
  { event = "CallDisconnected", after = 1, code = 200, subcode = 560000, q850 = 16 },
]

[scenarios.full]
answer = { status = 429, retry_after = 2 }

[scenarios.talks]
like = "answered"
tones = ["", "12"]
choice = "Confirm"
pause = 0.5

[[scenarios.talks.results]]
event = "RecognizeFailed"
code = 400
subcode = 8563

[[scenarios.talks.results]]
event = "RecognizeCompleted"
code = 200
subcode = 8569
fields = { recognition_type = "speech", speech_result = { speech = "Oslo" } }

[scenarios.stubborn]
like = "busy"
attempts = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios.toml"
    path.write_text(FILE, "utf-8")
    return path


def test_a_file_may_begin_with_a_byte_order_mark(file: Path) -> None:
    """Windows writes one."""
    file.write_text(FILE, "utf-8-sig")
    assert Playbook(file=file).known["hasty"].about == "picks up and is gone"


def test_a_file_makes_scenarios_and_gives_them_numbers(file: Path) -> None:
    """Its own names stand beside those that are built in."""
    book = Playbook(file=file)
    hasty = book.next_for("+15550100001")
    assert hasty is book.next_for("+15550100009") is book.known["hasty"]
    assert hasty.steps == (
        Step(event="CallConnected", after=0.2),
        Step(event="CallDisconnected", after=1.0, code=200, subcode=560000, q850=16),
    )
    talks = book.known["talks"]
    assert (talks.steps, talks.tones, talks.pause) == (SCENARIOS["answered"].steps, ("", "12"), 0.5)
    assert [talks.callee(index).tones for index in (0, 1, 2)] == ["", "12", "12"]
    fields = {"recognition_type": "speech", "speech_result": {"speech": "Oslo"}}
    failed = Step(event="RecognizeFailed", code=400, subcode=8563)
    spoken = Step(event="RecognizeCompleted", code=200, subcode=8569, fields=fields)
    assert talks.results == (failed, spoken)
    assert book.known["full"].answer == Answer(status=429, retry_after=2)
    assert (book.known["stubborn"].steps, book.known["stubborn"].attempts) == (SCENARIOS["busy"].steps, 3)
    assert book.next_for("+15550100486").name == "busy"


def test_a_list_serves_one_call_after_the_other(file: Path) -> None:
    """The last serves all further calls."""
    book = Playbook(file=file)
    assert [book.next_for(None).name for _ in range(3)] == ["busy", "answered", "answered"]
    assert [book.next_for("+15550100002").name for _ in range(3)] == ["no_answer", "full", "full"]


def test_arguments_come_before_the_file(file: Path) -> None:
    """Both the default and the numbers."""
    book = Playbook("declined", {"+15550100001": "stubborn"}, file)
    assert (book.next_for("+15550100005").name, book.next_for("+15550100001").name) == ("declined", "stubborn")


def test_somebody_who_calls_stays_until_it_is_quiet_unless_the_number_says_otherwise() -> None:
    """The default of the book is for calls that the app places."""
    book = Playbook("busy")
    assert (book.next_from("+15550100005").name, book.next_from("+15550100410").name) == ("answered", "network_drop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = [", "scenarios.toml"),
        ("numbers = 1", "Expected `object`"),
        ("[scenarios.a]\nsteps = [{ event = 'CallConected' }]", "did you mean 'CallConnected'"),
        ("[scenarios.a]\nsteps = [{ event = 'xyz' }]", "does not send$"),
        ("[scenarios.a]\nsteps = [{ event = 'CallConnected', after = -1 }]", "after or lag below 0"),
        ("[scenarios.a]\nsteps = [{ event = 'CallConnected', lag = -1 }]", "after or lag below 0"),
        ("[scenarios.a]\nsteps = [{ event = 'CallConnected', fields = { a = 1 } }]", "has no further fields"),
        (
            "[scenarios.a]\nresults = [{ event = 'PlayFailed', fields = { index = 1 } }]",
            "has field 'index' in PlayFailed, which has failed_play_source_index",
        ),
        ("[scenarios.a]\npause = -1", "pause and media of 0 seconds or more"),
        ("[scenarios.a]\nmedia = -1", "pause and media of 0 seconds or more"),
        ("[scenarios.a]\npause = nan", "pause and media of 0 seconds or more"),
        ("[scenarios.a]\ntones = '12x'", "has tones '12x'; a tone is one of 0 to 9, a to d, # and [*]"),
        ("[scenarios.a]\ntones = ['1', '2 3']", "has tones '2 3'; a tone is one of 0 to 9, a to d, # and [*]"),
        ("[scenarios.a]\ntones = 1", "Expected `str | array | null`"),
        ("[scenarios.a]\nlike = 'b'", "does not stand before it"),
        ("[scenarios.a]\nattempts = 0", "attempts of 1 or more"),
        ("[scenarios.a]\nanswer = { status = 200 }", "only errors"),
        (
            "[scenarios.a]\n[scenarios.b]\ncolour = 'red'",
            "'b': Object contains unknown field `colour`; it may have like, about, number, steps, ",
        ),
        (
            "[scenarios.b]\nsteps = [{ event = 'CallConnected', code = 'x' }]",
            r"'b': Expected `int \| null`, got `str` - at `\$.steps\[0\].code`$",
        ),
        (
            "[numbers]\n15550100001 = 'busy'",
            "numbers has .*, which is no number with a plus sign; write a plus sign and 3 to 15",
        ),
        ("default = 'bsy'", "did you mean 'busy'"),
    ],
)
def test_a_file_that_cannot_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """With the key and what is wrong with it."""
    path = tmp_path / "scenarios.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=said):
        Playbook(file=path)
