"""The text that the demo prints: for every delivery a heading, its log lines and its answer, and at the end a table."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.cli._screen import bold, cut, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ringback.cli.demo.deliveries import Posting

Line = dict[str, Any]
"""The keys and values of a log line."""

INDENT = "   "


@dataclass
class Report:
    """One delivery's answer (a status), log lines and hooks.

    ``hooks`` has a name for every call of a hook; ``None`` if the demo could not count the calls.
    """

    posting: Posting
    status: int = 0
    lines: list[Line] = field(default_factory=list[Line])
    hooks: list[str] | None = None

    def row(self) -> tuple[str, str, str, str, str]:
        """The delivery's row in the table: title, status, cause, disposition, hooks."""
        outcome = next((line for line in self.lines if line["event"] == "call.outcome"), None)
        cause, disposition = ("-", "-") if outcome is None else (outcome["cause"], _disposition(outcome))
        return self.posting.title, str(self.status), cause, disposition, self._called()

    def _called(self) -> str:
        if self.hooks:
            counts = Counter(self.hooks).items()
            return ", ".join(f"{name} {'once' if count == 1 else f'{count} times'}" for name, count in counts)
        if self.posting.sibling_follows:
            return "waits for the 2nd"
        events = {line["event"] for line in self.lines}
        if "call.outcome_duplicate" in events:
            return "not again"
        return "not counted" if self.hooks is None and "call.outcome" in events else "-"


@dataclass(frozen=True, slots=True)
class Screen:
    """Standard output, ``width`` columns wide; bold headings if it is ``styled``."""

    width: int
    styled: bool = False

    def opening(self, app: str, port: int) -> None:
        print(f"{self._bold('Ringback demo')}: {app} on a real server at http://127.0.0.1:{port}")

    def heading(self, posting: Posting, path: str) -> None:
        print("\n" + self._bold(self._cut(f"-> POST {path}  {posting.title}: {posting.carries}")))

    def log_line(self, line: Mapping[str, Any]) -> None:
        """Print the facts of a log line that a reader looks for first, on three lines at most."""
        print("\n".join(self._facts(line)))

    def answer(self, status: int, body: str) -> None:
        print(self._cut(f"<- {status} {' '.join(body.split())}"))

    def closing(self, reports: Sequence[Report], command: str = "ringback") -> None:
        head = ("delivery", "status", "outcome", "disposition", "hook")
        rows = [head, *(report.row() for report in reports)]
        aligned = table(rows)
        if max(map(len, aligned)) > self.width:
            aligned = table([(title, *rest) for title, _, *rest in rows])
        head_line, *lines = map(self._cut, aligned)
        print("\n".join(["", self._bold(head_line), *lines, ""]))
        outcomes = (line for report in reports for line in report.lines if line["event"] == "call.outcome")
        ended = {line.get("call_connection_id") or line["event_id"] for line in outcomes}
        called = sum(len(report.hooks or ()) for report in reports)
        print(
            f"{len(reports)} deliveries, {len(ended)} calls that ended, {called} hooks called. The server has stopped."
        )
        print(f"To see the log lines whole:  {command} demo --json-logs")
        print(f"To ask about any code:       {command} explain 486 560486")

    def _facts(self, line: Mapping[str, Any]) -> Iterator[str]:
        first = [f"{line['level']:<7}", line["event"]]
        if line["event"] == "call.outcome":
            first.append(f"{line['code']}/{line.get('subcode')}" if "code" in line else "no result")
        if "cause" in line:
            first.append(f"{line['cause']}, {_disposition(line)}")
        if line.get("refined_by") is not None:
            first.append(f"by {line['refined_by']}")
        first += [str(line[name]) for name in ("status", "delivery_schema", "count") if name in line]
        call = line.get("call_connection_id")
        # The first group of the id tells the demo's calls apart; the JSON line has the whole id.
        whole = INDENT + "  ".join([*first, f"call {call[:8]}"] if call else first)
        yield whole if len(whole) <= self.width else self._cut(INDENT + "  ".join(first))
        advice = line.get("advice", [])
        texts = [line.get("summary"), advice if isinstance(advice, str) else next(iter(advice), None)]
        texts += [line.get(name) for name in ("hook", "error", "reason")]
        indent = INDENT + " " * 9
        text = " ".join(str(text) for text in texts if text is not None)
        yield from textwrap.wrap(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=indent,
            max_lines=2,
            placeholder=" ...",
            break_on_hyphens=False,
        )

    def _cut(self, text: str) -> str:
        return cut(text, self.width)

    def _bold(self, text: str) -> str:
        return bold(text, styled=self.styled)


def _disposition(line: Mapping[str, Any]) -> str:
    return f"{line['disposition']} ({line['retry_class']})"
