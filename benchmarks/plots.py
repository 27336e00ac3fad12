"""Plots of a run for docs/performance.md: SVG that reads on a light page and on a dark one."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NEUTRAL = "#808080"
"""Text and lines: grey is as far from white as it is from black."""
OURS, OTHERS = "#2a9d8f", "#e07b39"
WIDTH, NAMES, ROW = 800, 260, 24
"""Pixels: of a plot, of the column of names, and between two rows."""

Groups = dict[str, dict[str, dict[str, float]]]
"""A median and its quartiles, by the name of the app, by the title of a plot."""


def colour(name: str) -> str:
    return OURS if name.startswith("ringback") else OTHERS if "sample" in name else NEUTRAL


def _rows(groups: Groups) -> Iterator[str]:
    """Medians as bars from the top down, the quartiles as a line, and the figure at the end; 1 is a dotted line."""
    y = ROW
    for title, rows in groups.items():
        scale = (WIDTH - NAMES - 60) / max(each["high"] for each in rows.values())
        yield f'<text x="{NAMES}" y="{y}" font-weight="bold">{escape(title)}</text>'
        top = y
        for name, each in rows.items():
            y += ROW
            low, median, high = (NAMES + round(each[part] * scale, 1) for part in ("low", "median", "high"))
            yield f'<text x="{NAMES - 8}" y="{y}" text-anchor="end">{escape(name)}</text>'
            yield f'<rect x="{NAMES}" y="{y - 13}" width="{median - NAMES:.1f}" height="17" fill="{colour(name)}"/>'
            yield f'<path d="M{low} {y - 4.5}H{high}" stroke="{NEUTRAL}"/>'
            yield f'<text x="{high + 6}" y="{y}">{each["median"]:.2f}</text>'
        yield f'<path d="M{NAMES + scale:.1f} {top + 6}V{y + 6}" stroke="{NEUTRAL}" stroke-dasharray="2 2"/>'
        y += 2 * ROW


def bars(groups: Groups, label: str) -> str:
    """A plot for each group, below each other."""
    height = ROW * (sum(map(len, groups.values())) + 2 * len(groups) + 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" fill="{NEUTRAL}"'
    foot = f'<text x="{NAMES}" y="{height - 8}">{escape(label)} as a ratio to the bare route (dotted)</text>'
    return "\n".join([f'{head} font-family="sans-serif" font-size="13">', *_rows(groups), foot, "</svg>", ""])


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a file for each section that the run has: small and large deliveries in process, and the servers."""
    drawn: dict[str, str] = {}
    if "inprocess" in results:
        found = results["inprocess"]
        sizes = {"1": "1 event a request", "1000": "1000 events a request"}
        shown = {title: size for size, title in sizes.items() if size in next(iter(found.values()))}
        by_size = {title: {name: row[size]["ratio"] for name, row in found.items()} for title, size in shown.items()}
        drawn["ratios"] = bars(by_size, "CPU time")
    if "sockets" in results:
        found = results["sockets"]
        by_server = {server: {name: row["cpu_ratio"] for name, row in rows.items()} for server, rows in found.items()}
        drawn["sockets"] = bars(by_server, "server CPU a request")
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in drawn.items():
        (folder / f"{name}.svg").write_text(drawing, "utf-8")
    return [folder / f"{name}.svg" for name in drawn]
