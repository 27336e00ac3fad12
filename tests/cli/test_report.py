"""`ringback explain --report` leads to the project's form, filled in, and says nothing that a sender wrote."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from ringback.cli import main

TEMPLATES = Path(__file__).parents[2] / ".github" / "ISSUE_TEMPLATE"


def fields(link: str) -> dict[str, str]:
    assert link.startswith("https://github.com/ringback/ringback/issues/new?")
    return dict(parse_qsl(urlsplit(link).query, strict_parsing=True))


def test_the_form_is_filled_in(capsys: pytest.CaptureFixture[str]) -> None:
    """With everything that was given, and the catalog's answer."""
    given = "explain 500 560503 --event CreateCallFailed --sip 486 --q850 17 --report"
    assert main(given.split()) == 0
    printed = fields(capsys.readouterr().out)
    assert printed.pop("answer").endswith(f", ringback {version('ringback')})")
    assert printed == {
        "template": "code.yml",
        "title": "Code: 500/560503",
        "event": "CreateCallFailed",
        "code": "500",
        "subcode": "560503",
        "sip": "486",
        "q850": "17",
    }


def test_what_was_not_given_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "499", "--report"]) == 0
    verdict = "unknown, UnexpectedClientError, retry after_fix, owner app"
    assert fields(capsys.readouterr().out) == {
        "template": "code.yml",
        "title": "Code: 499",
        "code": "499",
        "answer": f"{verdict} (match range, ringback {version('ringback')})",
    }


def test_what_a_sender_wrote_stays_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A carrier's words, a message, and a number within the name of an event."""
    words = '{"code": 603, "message": "+15550100486", "sipDetails": {"code": 603, "message": "+15550100486"}}'
    assert main(["explain", words, "--event", "Call+15550100486", "--report"]) == 0
    link = capsys.readouterr().out
    assert "5550100486" not in link
    assert fields(link)["event"] == "Call[phone]"


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--report"], "--report needs a code"), (["486", "--report", "--json"], "")]
)
def test_report_needs_a_code_and_goes_without_json(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringback.cli._outcomes.is_offered", lambda: True)
    assert main(["explain", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not TEMPLATES.exists(), reason="the tests of a wheel have no templates")
def test_every_field_of_the_link_is_one_of_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub fills a form in by the ids of its fields; `template` and `title` are its own words."""
    yaml = pytest.importorskip("ruamel.yaml")
    form = yaml.YAML(typ="safe").load(TEMPLATES / "code.yml")
    ids = {each["id"] for each in form["body"] if "id" in each}
    assert main("explain 500 560503 --event CreateCallFailed --sip 486 --q850 17 --report".split()) == 0
    assert fields(capsys.readouterr().out).keys() - {"template", "title"} == ids - {"happened", "expected"}
