"""Results as tables in Markdown, for a terminal and for a page of the documentation; the goals among them. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Results = Mapping[str, Any]

BARE, OURS = "bare route", "ringback"
LINEAR = 1.25
_INSTRUCTIONS = (
    ("ringback, log off, 1 event", 1.55, "log off"),
    ("ringback, hooks called, 1 event", 3.0, "hooks called"),
    ("ringback, hooks called, 100 events", 7.5, "hooks called"),
)
_SIDES = (
    ("samples", "1", "worst", 0.95),
    ("samples", "1", "median", 1.1),
    ("samples", "100", "worst", 1.2),
    ("same work", "1", "worst", 2.0),
    ("same work", "100", "worst", 3.0),
)
_REASONS = {
    "token": "OpenSSL's share is fixed; what is beside it decodes three parts of base64 and reads the claims.",
    "samples": "The samples write two short texts. One line of Ringback has some twenty keys, and structlog's "
    "processors go through all of them: the dearer a set-up renders a line, the smaller the rest that Ringback saves.",
    "same work": "Both sides write the same line through the same set-up, and that takes most of the time of both.",
    "served": "The bare route does nothing with an event. The faster the server, the larger the share of the same "
    "microseconds of Ringback's; and over sockets they count two to three times, because caches are cold.",
    "log off": "The bare route decodes JSON and does no more. Ringback decodes the same bytes into types, classifies, "
    "and looks whether an end comes again.",
    "hooks called": "A delivery with its line takes nearly three times the bare route, most of it structlog's. A hook "
    "adds the line of the call's end, and two tasks of asyncio, so that a hook can be cancelled alone: half the bare "
    "route by themselves.",
    "durable": "Each delivery waits for the disk before its answer. One transaction serves those that wait together.",
    "memory": "Look at the run of `make soak`.",
    "start": "Beside what it stands on, `import ringback` reads the catalog, and runs some hundred modules.",
    "linear": "Large deliveries leave the caches of the processor.",
}


class Goal(NamedTuple):
    """A limit with the figure of a run. ``reason`` says in :data:`_REASONS` why a run may miss the limit."""

    says: str
    way: str
    value: float
    limit: float
    reason: str

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.way == "at most" else self.value >= self.limit

    @property
    def row(self) -> tuple[str, str, str, str]:
        reached = "yes" if self.reached else "no"
        return self.says, f"{self.way} {self.limit:.2f}", f"{self.value:.2f}", reached


def goals(results: Results) -> Iterator[Goal]:
    """Each goal that the run has a figure for."""
    if "verifying" in results:
        for token, limit in (("new", 2.5), ("known", 0.15)):
            ratio = results["verifying"][f"Ringback, a {token} token"]["ratio"]
            yield Goal(f"a {token} token, as a ratio to OpenSSL's verification", "at most", ratio, limit, "token")
    if "setups" in results:
        for side, size, name, limit in _SIDES:
            cheap = sorted(as_cheap(results["setups"], side, size).values())
            value = cheap[0] if name == "worst" else statistics.median(cheap)
            says = f"as cheap as the {side}, {size} event{'s' * (size != '1')}, in the {name} set-up"
            yield Goal(says, "at least", value, limit, side)
    for name, limit, reason in _INSTRUCTIONS:
        if name in results.get("instructions", {}):
            yield Goal(f"instructions: {name}", "at most", results["instructions"][name], limit, reason)
    for server, served in results.get("sockets", {}).items():
        if OURS in served:
            says = f"CPU a request under {server}, as a ratio to the bare route"
            yield Goal(says, "at most", served[OURS]["cpu_ratio"]["median"], 1.6, "served")
    if "durable" in results:
        says = "acknowledged deliveries a second with SQLite, as a ratio to those without a store"
        yield Goal(says, "at least", results["durable"]["ratio"]["median"], 0.85, "durable")
    if "memory" in results:
        says = f"MiB that memory grows by in {results['memory']['events']:,} events"
        yield Goal(says, "at most", results["memory"]["grown_mib"], 4.0, "memory")
    cells = results.get("inprocess", {}).get(OURS, {})
    if {"100", "5000"} <= cells.keys():
        many, some = ((cells[size]["us"] - cells[size]["bare_us"]) / int(size) for size in ("5000", "100"))
        yield Goal("cost of an event among 5000 by that of one among 100", "at most", many / some, LINEAR, "linear")
    if "start" in results:
        says = "`import ringback`, as a ratio to importing starlette, structlog and msgspec"
        yield Goal(says, "at most", results["start"]["ratio"]["median"], 1.4, "start")


def as_cheap(found: Results, side: str, size: str) -> dict[str, float]:
    """By log set-up, how many times what Ringback takes the other side takes."""
    cost = {name: row[size]["ratio"]["median"] for name, row in found.items()}
    setups = [name.partition("; ")[2] for name in cost if name.startswith(f"{side}; ")]
    return {setup: cost[f"{side}; {setup}"] / cost[f"{OURS}; {setup}"] for setup in setups}


def bill(results: Results) -> str:
    """What it costs, in three numbers."""
    one = results["inprocess"][OURS]["1"]
    bare, ours = (results["sockets"]["uvicorn"][name] for name in (BARE, OURS))
    return "\n".join(
        [
            f"- **{one['us'] - one['bare_us']:.0f} microseconds** of CPU a delivery, with its line. A TLS handshake "
            f"takes {results['handshake_us']:.0f}, and an app that does nothing with it "
            f"takes {bare['cpu_us']:.0f} under uvicorn.",
            f"- **{1e6 / ours['cpu_us']:.0f} deliveries a second and core** under uvicorn, where that app alone takes "
            f"{1e6 / bare['cpu_us']:.0f}.",
            f"- **{ours['mib'] - bare['mib']:.0f} MiB** of memory: {ours['mib']:.0f} in all, and {bare['mib']:.0f} "
            "without Ringback.",
        ]
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown: the first column is text, the others are figures."""
    rule = f"|---|{'--:|' * (len(head) - 1)}"
    return "\n".join([f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)])


def spread(figures: Mapping[str, float]) -> str:
    """The median, and the quartiles in brackets."""
    return f"{figures['median']:.2f} ({figures['low']:.2f}-{figures['high']:.2f})"


def parts(results: Results) -> dict[str, str]:
    """By its mark in the page: on what the run was made, and a table of each section that it has."""
    made = {"environment": ", ".join(results["environment"].values()) + "."}
    if "inprocess" in results:
        found = results["inprocess"]
        sizes = list(next(iter(found.values())))
        rows = [(name, *(spread(row[size]["ratio"]) for size in sizes)) for name, row in found.items()]
        us = ("bare route, microseconds", *(f"{next(iter(found.values()))[size]['bare_us']:.0f}" for size in sizes))
        made["ratios"] = table(("", *(f"{size} event{'s' * (size != '1')}" for size in sizes)), [*rows, us])
    if "setups" in results:
        found = results["setups"]
        columns = [as_cheap(found, side, size) for side in ("samples", "same work") for size in ("1", "100")]
        rows = [(setup, *(f"{column[setup]:.2f}" for column in columns)) for setup in columns[0]]
        head = ("", "samples, 1 event", "samples, 100 events", "same work, 1 event", "same work, 100 events")
        made["setups"] = table(head, rows)
    if "verifying" in results:
        rows = [(name, f"{row['us']:.0f}", f"{row['ratio']:.2f}") for name, row in results["verifying"].items()]
        made["verifying"] = table(("", "microseconds a token", "ratio to OpenSSL"), rows)
    if "sockets" in results:
        said = {"cpu_us": "CPU us", "rate": "requests/s", "p50_us": "p50 us", "p99_us": "p99 us", "mib": "MiB"}
        made["sockets"] = "\n\n".join(
            f"{server}:\n\n"
            + table(
                ("", "CPU, ratio to bare", *said.values()),
                [
                    (name, spread(row["cpu_ratio"]), *(f"{row[each]:.0f}" for each in said))
                    for name, row in found.items()
                ],
            )
            for server, found in results["sockets"].items()
        )
        if OURS in results.get("inprocess", {}):
            made["bill"] = bill(results)
    if "durable" in results:
        rows = [(name, f"{rate:.0f}") for name, rate in results["durable"]["rate"].items()]
        made["durable"] = table(("", "acknowledged deliveries/s"), rows)
    if "start" in results:
        rows = [(f"import {name}", f"{ms:.0f}") for name, ms in results["start"]["ms"].items()]
        made["start"] = table(("", "ms of CPU"), rows)
    found_goals = list(goals(results))
    missed = dict.fromkeys(goal.reason for goal in found_goals if not goal.reached)
    made["goals"] = "\n\n".join(
        [
            table(("", "goal", "measured", "reached"), [goal.row for goal in found_goals]),
            *(f"Why a goal for *{_NAMES.get(each, each)}* is missed: {_REASONS[each]}" for each in missed),
        ]
    )
    return made


_NAMES = {"served": "servers", "linear": "large deliveries", "start": "the import"}
