"""Plots of a run for docs/performance.md: SVG that reads on a light page and on a dark one.

python benchmarks/plots.py build/benchmark.json docs/performance
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    Results = Mapping[str, Any]

NEUTRAL = "#808080"
"""Text and lines: grey is as far from white as it is from black."""
OURS, OTHERS = "#2a9d8f", "#e07b39"
WIDTH = 8.0
"""Inches."""
LINES = {
    "ringback, log off": "#8fd3c8",
    "ringback": OURS,
    "sample style, as published": "#f0b48a",
    "sample style, same work": OTHERS,
    "FastAPI, same work": "#7b6fd0",
}

STYLE: Any = {
    "axes.edgecolor": NEUTRAL,
    "axes.labelcolor": NEUTRAL,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    # Without it the ids in the file are other ones each time.
    "svg.hashsalt": "ringback",
    "text.color": NEUTRAL,
    "xtick.color": NEUTRAL,
    "ytick.color": NEUTRAL,
}


def colour(name: str) -> str:
    return OURS if name.startswith("ringback") else OTHERS if "same work" in name or "sample" in name else NEUTRAL


def bars(axes: Axes, names: Sequence[str], spreads: Sequence[Mapping[str, float]]) -> None:
    """Medians as bars from the top down, with the quartiles as a line, and the figure at the end."""
    medians = [each["median"] for each in spreads]
    around = [[each["median"] - each["low"] for each in spreads], [each["high"] - each["median"] for each in spreads]]
    places = range(len(names))
    axes.barh(places, medians, xerr=around, color=[colour(name) for name in names], ecolor=NEUTRAL, height=0.7)
    for place, each in zip(places, spreads, strict=True):
        axes.annotate(f"{each['median']:.2f}", (each["high"], place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.axvline(1.0, color=NEUTRAL, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, max(each["high"] for each in spreads) * 1.15)


def ratios(found: Results) -> Figure:
    """In process, by candidate: the ratio to the bare route for small and for large deliveries."""
    names = list(found)
    sizes = [size for size in ("1", "1000") if size in found[names[0]]] or list(found[names[0]])[:1]
    figure = Figure(figsize=(WIDTH, 0.32 * len(names) * len(sizes) + 1.2), layout="constrained")
    for axes, size in zip(figure.subplots(len(sizes), 1, squeeze=False)[:, 0], sizes, strict=True):
        bars(axes, names, [found[name][size]["ratio"] for name in names])
        axes.set_title(f"{size} event{'s' if size != '1' else ''} a request", loc="left", fontsize=10)
    axes.set_xlabel("CPU time as a ratio to the bare route (dotted)")
    return figure


def by_size(found: Results) -> Figure:
    """In process: what an event costs beyond the bare route, by how many come in one request."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, shade in LINES.items():
        if name not in found:
            continue
        sizes = [int(size) for size in found[name]]
        spreads = [each["beyond_us_per_event"] for each in found[name].values()]
        axes.plot(sizes, [each["median"] for each in spreads], color=shade, marker="o", markersize=4, label=name)
        axes.fill_between(
            sizes,
            [each["low"] for each in spreads],
            [each["high"] for each in spreads],
            color=shade,
            alpha=0.25,
            linewidth=0,
        )
    axes.set(xscale="log", yscale="log", xlabel="events a request", ylabel="microseconds an event beyond bare")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, ncols=2)
    return figure


def sockets(found: Results) -> Figure:
    """Over sockets: CPU of the server a request, by server and app."""
    figure = Figure(figsize=(WIDTH, 0.32 * sum(map(len, found.values())) + 1.2), layout="constrained")
    for axes, (server, rows) in zip(figure.subplots(len(found), 1, squeeze=False)[:, 0], found.items(), strict=True):
        bars(axes, list(rows), [row["cpu_ratio"] for row in rows.values()])
        axes.set_title(server, loc="left", fontsize=10)
    axes.set_xlabel("server CPU a request as a ratio to the bare route (dotted)")
    return figure


PLOTS = {"ratios": ("inprocess", ratios), "by-size": ("inprocess", by_size), "sockets": ("sockets", sockets)}


def draw(results: Results, folder: Path) -> list[Path]:
    """Write a file for each plot whose section the run has."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(STYLE):
        for name, (section, plot) in PLOTS.items():
            if section in results:
                file = folder / f"{name}.svg"
                plot(results[section]).savefig(file, format="svg", metadata={"Date": None})
                # Lines end in spaces otherwise, which git marks in every change.
                lines = [line.rstrip() for line in file.read_text("utf-8").splitlines()]
                file.write_text("\n".join(lines) + "\n", "utf-8")
                written.append(file)
    return written


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
