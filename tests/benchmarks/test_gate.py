"""What the gate makes of counted instructions."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import counted
import gate
import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DUMP = "# callgrind format\nevents: Ir\nfn=(1) main\n1 200\n\nsummary: 999\ntotals: 12345\n"


def test_a_dump_says_its_total() -> None:
    """The line that callgrind writes at its end; a valgrind that writes another format is no zero."""
    assert gate.total(DUMP) == 12345
    with pytest.raises(gate.Uncounted, match="totals"):
        gate.total("events: Ir\n")


def test_a_piece_is_what_lies_between_its_two_marks() -> None:
    """What comes before the first mark of a piece is its preparation."""
    assert gate.between([900, 1, 800, 2, 700, 3], pieces=3) == [1, 2, 3]


def test_a_mark_too_many_is_refused() -> None:
    """Else every piece behind it would be another one's preparation."""
    with pytest.raises(gate.Uncounted, match="7 marks were counted, not 6"):
        gate.between([0] * 7, pieces=3)


def test_ratios_are_to_the_bare_route_with_as_many_events() -> None:
    """What doing nothing costs counts for nobody."""
    taken = [10, 110, *(10 + 150 * number for number in range(1, len(counted.pieces(100)) - 1))]
    assert list(gate.ratios(100, taken).items())[:2] == [
        ("ringback, log off, 100 events", 1.5),
        ("ringback, 100 events", 3.0),
    ]


def test_a_ratio_may_be_over_its_limit_by_the_margin_and_no_more() -> None:
    """Whoever broke it is told by how much, and what to do."""
    assert gate.over({"a": 1.05, "b": 0.2}, {"a": 1.0, "b": 1.0}, margin=0.0501) == []
    assert gate.over({"a": 1.06}, {"a": 1.0}, margin=0.05) == [
        "a takes 1.060 times the bare route; 1.000 and 5% are allowed: find the cause, or make gate ARGS=--write"
    ]


def test_what_has_no_limit_is_not_let_through() -> None:
    """A new row, or an interpreter of which nothing is known."""
    assert gate.over({"a": 1.0}, {}, margin=0.05) == ["a has no limit in limits.toml; make gate ARGS=--write"]


LABELS = [gate.label(name, events) for events in counted.WORK for name in counted.pieces(events)[2:]]


@given(
    limits=st.dictionaries(
        st.sampled_from(["3.11", "3.12"]),
        st.dictionaries(st.sampled_from(LABELS), st.floats(0.1, 99).map(lambda x: round(x, 3))),
    )
)
def test_written_limits_read_as_they_were(limits: dict[str, dict[str, float]]) -> None:
    """To the third digit, which is less than two runs differ by."""
    assert tomllib.loads(gate.text(limits, 0.05)) == {"margin": 0.05, **limits}


def test_every_piece_that_is_counted_has_a_limit() -> None:
    """The file of limits and the pieces belong together."""
    kept = tomllib.loads(gate.LIMITS.read_text("utf-8"))
    assert 0 < kept.pop("margin") <= 0.1
    assert kept
    assert {version: set(limits) for version, limits in kept.items()} == {version: set(LABELS) for version in kept}


def test_the_table_says_by_how_much_a_figure_differs() -> None:
    """And nothing of that where there is no limit yet."""
    assert [" ".join(line.split()) for line in gate.table({"a": 1.1, "b": 2.0}, {"a": 1.0})] == [
        "a 1.100 1.000 +10.0%",
        "b 2.000",
    ]


def with_ringback_at(factor: float) -> Callable[[int], list[int]]:
    """Counts in which everything but the bare route takes so many times what that takes."""
    counts = {counted.NOTHING: 10, "bare route": 1010}
    return lambda events: [counts.get(name, 10 + int(1000 * factor)) for name in counted.pieces(events)]


def test_the_gate_lets_through_what_it_was_set_to_and_refuses_what_is_over_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Set by one command; a failure names each row."""
    file = tmp_path / "limits.toml"
    file.write_text("margin = 0.05\n")
    assert gate.main([], measure=with_ringback_at(1.3), file=file) == 1
    assert gate.main(["--write"], measure=with_ringback_at(1.3), file=file) == 0
    capsys.readouterr()
    assert gate.main([], measure=with_ringback_at(1.36), file=file) == 0
    assert capsys.readouterr().err.strip() == ""
    assert gate.main([], measure=with_ringback_at(1.37), file=file) == 1
    assert capsys.readouterr().err.count("1.370 times the bare route") == len(LABELS)
    assert tomllib.loads(file.read_text())["margin"] == 0.05


def test_a_gate_that_cannot_count_is_no_open_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what is missing."""

    def counts(events: int) -> list[int]:
        raise gate.Uncounted("valgrind is not installed")

    file = tmp_path / "limits.toml"
    file.write_text("margin = 0.05\n")
    assert gate.main([], measure=counts, file=file) == 2
    assert capsys.readouterr().err == "gate: valgrind is not installed\n"


def test_without_valgrind_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is a package of the system."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(gate.Uncounted, match="apt-get install valgrind"):
        gate.counts(1)
