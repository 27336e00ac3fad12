"""Results as tables in Markdown, for a terminal and for a page of the documentation; the goals among them. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Results = Mapping[str, Any]

BARE, OURS, USES = "bare route", "ringback", "ringback, route uses the outcomes"
SERVED = 1.6
LINEAR = 1.25
NEW, KNOWN = 2.5, 0.15


def goals(results: Results) -> list[tuple[str, str, str, str]]:
    """Each goal that the run has a figure for: its limit, the figure, and whether the figure reaches the goal."""
    found: list[tuple[str, str, float, float]] = []
    if "verifying" in results:
        for token, limit in (("new", NEW), ("known", KNOWN)):
            ratio = results["verifying"][f"Ringback, a {token} token"]["ratio"]
            found.append((f"a {token} token, as a ratio to OpenSSL's verification", "at most", ratio, limit))
    if "setups" in results:
        for side, size, name, limit in _SIDE_GOALS:
            cheap = sorted(as_cheap(results["setups"], side, size).values())
            value = cheap[0] if name == "worst" else statistics.median(cheap)
            says = f"as cheap as the {side}, {size} event{'s' * (size != '1')}, in the {name} set-up"
            found.append((says, "at least", value, limit))
    for server, served in results.get("sockets", {}).items():
        if OURS in served:
            says = f"CPU a request under {server}, as a ratio to the bare route"
            found.append((says, "at most", served[OURS]["cpu_ratio"]["median"], SERVED))
    cells = results.get("inprocess", {}).get(OURS, {})
    if {"100", "5000"} <= cells.keys():
        many, some = ((cells[size]["us"] - cells[size]["bare_us"]) / int(size) for size in ("5000", "100"))
        found.append(("cost of an event among 5000 by that of one among 100", "at most", many / some, LINEAR))
    return [
        (
            says,
            f"{way} {limit:.2f}",
            f"{value:.2f}",
            "yes" if (value <= limit if way == "at most" else value >= limit) else "no",
        )
        for says, way, value, limit in found
    ]


_SIDE_GOALS = (
    ("samples", "1", "worst", 0.95),
    ("samples", "1", "median", 1.1),
    ("samples", "100", "worst", 1.2),
    ("same work", "1", "worst", 2.0),
    ("same work", "100", "worst", 3.0),
)


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
    made["goals"] = table(("", "goal", "measured", "reached"), goals(results))
    return made
