"""Results as tables, for a terminal and for a page of the documentation. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from goals import verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Results = Mapping[str, Any]


class Table(NamedTuple):
    """``name`` is its mark in a page; the first column of ``rows`` is text, the others are figures."""

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def as_text(table: Table) -> str:
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    lines = [table.title, ""]
    for row in (table.head, *table.rows):
        first, *rest = (cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))  # noqa: B905 - both come of one table
        lines.append("  ".join((first, *rest)).rstrip())
    return "\n".join(lines)


def as_markdown(table: Table) -> str:
    head = f"| {' | '.join(table.head)} |"
    rule = f"|---|{'--:|' * (len(table.head) - 1)}"
    return "\n".join([f"{table.title}:", "", head, rule, *(f"| {' | '.join(row)} |" for row in table.rows)])


def spread(figures: Mapping[str, float]) -> str:
    """The median, and the quartiles in brackets."""
    return f"{figures['median']:.2f} ({figures['low']:.2f}-{figures['high']:.2f})"


def tables(results: Results) -> list[Table]:
    """Of all sections that the run has, with the goals last."""
    made: list[Table] = []
    if "inprocess" in results:
        made += _inprocess(results["inprocess"])
    if "tokens" in results:
        found = results["tokens"]
        cells = (spread(found["ratio"]), f"{found['ringback_us']:.0f}", f"{found['openssl_us']:.0f}")
        head = ("", "ratio to OpenSSL alone", "us", "us, OpenSSL alone")
        made.append(Table("tokens", "Verifying one RS256 token", head, [("CallbackTokenVerifier", *cells)]))
    for server, found in results.get("sockets", {}).items():
        made.append(_sockets(server, found))
    if "start" in results:
        made += _start(results["start"])
    made.append(_goals(results))
    return made


def _inprocess(found: Mapping[str, Any]) -> list[Table]:
    sizes = list(next(iter(found.values())))
    head = ("", *(f"{size} event{'s' if size != '1' else ''}" for size in sizes))
    any_row = next(iter(found.values()))
    return [
        Table(
            "ratios",
            "CPU time in process, as a ratio to the bare route: median (quartiles)",
            head,
            [(name, *(spread(row[size]["ratio"]) for size in sizes)) for name, row in found.items()],
        ),
        Table(
            "beyond",
            "Microseconds an event beyond the bare route, and the same in typed decodes",
            head,
            [
                (
                    name,
                    *(
                        f"{row[size]['beyond_us_per_event']['median']:.2f} "
                        f"({row[size]['beyond_in_decodes']['median']:.2f})"
                        for size in sizes
                    ),
                )
                for name, row in found.items()
            ],
        ),
        Table(
            "orientation",
            "For orientation, microseconds a request",
            head,
            [
                ("bare route", *(f"{any_row[size]['bare_us_per_request']:.1f}" for size in sizes)),
                ("one typed decode", *(f"{any_row[size]['decode_us_per_request']:.2f}" for size in sizes)),
            ],
        ),
    ]


def _sockets(server: str, found: Mapping[str, Any]) -> Table:
    return Table(
        server,
        f"Over sockets, {server}, 1 event a request, 32 connections",
        ("", "CPU, ratio to bare", "CPU us", "requests/s", "p50 ms", "p99 ms", "peak MiB"),
        [
            (
                name,
                spread(row["cpu_ratio"]),
                f"{row['cpu_us']:.0f}",
                f"{row['rate']:.0f}",
                f"{row['p50_us'] / 1000:.1f}",
                f"{row['p99_us'] / 1000:.1f}",
                f"{row['peak_mib']:.0f}",
            )
            for name, row in found.items()
        ],
    )


def _start(found: Mapping[str, Any]) -> list[Table]:
    imports, memory = found["import"], found["memory"]
    shapes = list(next(iter(memory.values())))
    return [
        Table(
            "imports",
            "Import, in a fresh interpreter beyond its own start",
            ("", "CPU ms", "modules"),
            [(name, spread(row["cpu_ms"]), str(row["modules"])) for name, row in imports.items()],
        ),
        Table(
            "memory",
            "Peak memory of a process that answered 20,000 events, MiB",
            ("", *(f"{shape} a request" for shape in shapes)),
            [(name, *(f"{row[shape]:.1f}" for shape in shapes)) for name, row in memory.items()],
        ),
    ]


def _goals(results: Results) -> Table:
    says = {True: "yes", False: "no", None: "not measured"}
    rows = [
        (each.says, each.limit, "" if each.value is None else f"{each.value:.2f}", says[each.met])
        for each in verdicts(results)
    ]
    return Table("goals", "Goals", ("", "goal", "measured", "reached"), rows)
