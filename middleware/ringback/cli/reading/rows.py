"""Flat rows in decoded JSON: which values hold several rows, and where a line of Ringback stands within a row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from ringback.cli.reading.line import OUTCOME, Line, Why, line_of, name_of
from ringback.cli.reading.text import fields_in, literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WITHIN = ("customDimensions", "Properties", "properties", "attributes", "ringback")
"""Keys under which the keys of a line stand: Application Insights, Log Analytics, OpenTelemetry, schema 1's records."""

_TEXTS = (
    *("Log_s", "Log", "LogEntry", "LogMessage", "log", "MESSAGE", "ResultDescription"),
    *("body", "Body", "Message", "message", "msg", "text"),
)
"""Keys under which a whole line stands as text: Container Apps, AKS, Docker, systemd's journal, App Service,
OpenTelemetry, formatters, loguru.
"""

_TIMES = (
    *("timestamp", "time", "ts", "@timestamp", "asctime", "TimeStamp"),
    *("TimeGenerated", "TimeGenerated [UTC]", "timestamp [UTC]"),
)

_DEEPEST = 4
"""Levels of nesting that are searched: a line within a row within an export, and one more."""


def rows_in(content: object) -> Iterator[object]:
    """The rows of a tool's export; any other value is one row."""
    if isinstance(content, list):
        yield from cast("list[object]", content)
        return
    export = _object(content)
    for key, rows_of in _EXPORTS.items():
        if isinstance(export.get(key), list):
            yield from rows_of(cast("list[object]", export[key]))
            return
    yield content


def _of_tables(tables: list[object]) -> Iterator[object]:
    """The rows of an answer of Log Analytics' or Application Insights' API, which has the names once."""
    for table in tables:
        columns = map(_object, _listed(table, "columns", "Columns"))
        names = [str(column.get("name", column.get("ColumnName"))) for column in columns]
        for row in _listed(table, "rows", "Rows"):
            yield dict(zip(names, cast("list[object]", row), strict=False)) if isinstance(row, list) else row


def _of_resources(resources: list[object]) -> Iterator[object]:
    """The log records in OTLP as JSON, which the collector's file exporter writes."""
    for resource in resources:
        for scope in _listed(resource, "scopeLogs"):
            yield from _listed(scope, "logRecords")


def _listed(content: object, *keys: str) -> list[object]:
    fields = _object(content)
    found = next((fields[key] for key in keys if key in fields), None)
    return cast("list[object]", found) if isinstance(found, list) else []


def _object(content: object) -> dict[str, object]:
    return cast("dict[str, object]", content) if isinstance(content, dict) else {}


_EXPORTS = {"tables": _of_tables, "Tables": _of_tables, "resourceLogs": _of_resources, "records": iter}
"""By the key of an export's list, how to read the list's rows. A diagnostic setting exports ``records``."""


def read(row: object) -> Line | Why | None:
    """The line in a row; ``None`` for a row that another program wrote."""
    if isinstance(row, Why):
        return row
    found = _unpacked(row, _DEEPEST)
    if found is None or isinstance(found, Why):
        return found
    return line_of(found, name_of(found) or OUTCOME)


def _unpacked(row: object, deepest: int) -> Mapping[str, Any] | Why | None:
    """The row that has a line's keys: this row, or a row that stands within it."""
    if not isinstance(row, dict) or not deepest:
        return None
    row = cast("dict[str, Any]", row)
    name = name_of(row)
    is_line = name is not None and (name != OUTCOME or "cause" in row)
    if is_line and not any(key in row for key in _WITHIN):
        return {**_timed(row, {}), **row}
    failed: Why | None = None if name is None or is_line else Why.CUT
    for key in _WITHIN if is_line else (*_WITHIN, *_TEXTS):
        inner = _content(row.get(key), texts=key in _TEXTS)
        found = _unpacked(inner, deepest - 1) if isinstance(inner, dict) else inner
        if isinstance(found, Why):
            failed = failed or found
        elif found is not None:
            return {**found, **_timed(row, found)}
    return {**_timed(row, {}), **row} if is_line else failed


def _content(value: object, *, texts: bool) -> Mapping[str, Any] | Why | None:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    if isinstance(value, list):
        # OpenTelemetry's attributes.
        pairs = map(_object, cast("list[object]", value))
        return {str(pair.get("key")): _plain(pair.get("value")) for pair in pairs}
    if not isinstance(value, str):
        return None
    start = value.find("{")
    content = literal(value[start:]) if start >= 0 else None
    if isinstance(content, dict):
        return cast("dict[str, Any]", content)
    fields = fields_in(value)
    if fields is None and start >= 0 and not texts and OUTCOME in value:
        return Why.BROKEN
    return fields


def _plain(value: object) -> object:
    """The value in OTLP's ``{"stringValue": "busy"}``."""
    return next(iter(cast("dict[str, object]", value).values()), None) if isinstance(value, dict) else value


def _timed(outer: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The time of the outer row, for a line that has no time of its own."""
    if any(key in found for key in _TIMES[:4]):
        return {}
    given = next((outer[key] for key in _TIMES if outer.get(key)), None)
    return {} if given is None else {"timestamp": _portal(given) if isinstance(given, str) else given}


def _portal(time: str) -> str:
    """ISO 8601 for a time as Azure's portal writes it (``1/15/2026, 9:30:00.123 AM``, always UTC); other texts stay."""
    for form in ("%m/%d/%Y, %I:%M:%S.%f %p", "%m/%d/%Y, %I:%M:%S %p"):
        try:
            return datetime.strptime(time, form).replace(tzinfo=UTC).isoformat()
        except ValueError:
            continue
    return time
