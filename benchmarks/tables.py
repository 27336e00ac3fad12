"""Results as tables in Markdown, for a terminal and for a page of the documentation; the goals among them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Results = Mapping[str, Any]

OURS = "ringback"
# What is said of a figure; the candidate, its events, and the candidate whose figure it is a multiple of; the limit.
GOALS = (
    ("1 event with its log line, as a ratio to the bare route", OURS, "1", None, 1.45),
    ("1 event where the route uses the outcomes, likewise", "ringback, route uses the outcomes", "1", None, 0.85),
    ("1 event, as a ratio to the samples' style doing the same work", OURS, "1", "sample style, same work", 0.3),
    ("1000 events, likewise", OURS, "1000", "sample style, same work", 0.14),
    ("1 event, as a ratio to the samples as published, which do less", OURS, "1", "sample style, as published", 0.3),
    ("1000 events, likewise", OURS, "1000", "sample style, as published", 0.14),
)
SERVED = 1.2
LINEAR = 1.25


def goals(results: Results) -> list[tuple[str, str, str, str]]:
    """Each goal that the run has a figure for: its limit, the figure, and whether the figure reaches the goal."""
    found: list[tuple[str, float, float]] = []
    rows = results.get("inprocess", {})
    for says, name, events, base, limit in GOALS:
        medians = [rows.get(each, {}).get(events, {}).get("ratio", {}).get("median") for each in (name, base or name)]
        if None not in medians:
            found.append((says, medians[0] / (medians[1] if base else 1), limit))
    for server, served in results.get("sockets", {}).items():
        says = f"CPU of {server} a request, as a ratio to the bare route"
        found.append((says, served[OURS]["cpu_ratio"]["median"], SERVED))
    cells = rows.get(OURS, {})
    if {"100", "5000"} <= cells.keys():
        many, some = ((cells[size]["us"] - cells[size]["bare_us"]) / int(size) for size in ("5000", "100"))
        found.append(("linear: cost of an event among 5000 by that of one among 100", many / some, LINEAR))
    return [
        (says, f"at most {limit:.2f}", f"{value:.2f}", "yes" if value <= limit else "no")
        for says, value, limit in found
    ]


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
    for server, found in results.get("sockets", {}).items():
        said = {"cpu_us": "CPU us", "rate": "requests/s", "p50_us": "p50 us", "p99_us": "p99 us"}
        rows = [(name, spread(row["cpu_ratio"]), *(f"{row[each]:.0f}" for each in said)) for name, row in found.items()]
        made[server] = table(("", "CPU, ratio to bare", *said.values()), rows)
    made["goals"] = table(("", "goal", "measured", "reached"), goals(results))
    return made
