"""The formats of a log file: lines, JSON values over several lines, or CSV."""

from __future__ import annotations

import codecs
import csv
import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from msgspec.json import Decoder, encode

from ringback.cli.reading.line import EVENTS, FAULTS, NEWEST, Line, Unread, Why
from ringback.cli.reading.rows import read, rows_in
from ringback.cli.reading.text import fields_in
from ringback.exceptions import RingbackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST = 64 * 1024 * 1024
"""Bytes that the reader keeps of one line, or of a file whose values go over several lines."""

_BLANK = 10_000
"""Lines at the start of a file among which the reader looks for the file's format."""

Found = Line | Unread | bytes
"""A line that Ringback wrote, bytes that could not be read, or the bytes of another program's JSON object."""


class TooLong(RingbackError):
    """The JSON values over several lines are too long for memory."""


def found_in(chunks: Iterable[bytes]) -> Iterator[Found]:
    """Read a file, given as pieces of any size. Memory does not grow with a file of lines or of CSV.

    Raises :class:`TooLong` for values that go over several lines and are longer than :data:`MOST` bytes.
    """
    lines = _lines(_in_utf8(chunks))
    first: list[bytes] = []
    begun: list[bytes] = []
    undecided = True
    for line in lines:
        first.append(line)
        if line.strip():
            begun.append(line)
            # Only a value that goes on, or a header, is judged by the second line as well: that line may come much
            # later.
            undecided = len(begun) == 1 and (_goes_on(begun) or _is_csv(begun))
        if not undecided or len(first) >= _BLANK:
            break
    lines = chain(first, lines)
    if _is_csv(begun):
        return _of_csv(lines)
    if len(begun) > 1 and _goes_on(begun):
        return _of_values(lines)
    return _of_lines(lines)


def _in_utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces in UTF-8. Windows PowerShell writes what a command prints into a file in UTF-16."""
    pieces = iter(chunks)
    begun = b""
    for piece in pieces:
        begun += piece
        if len(begun) > 1:
            break
    pieces = chain([begun], pieces)
    if begun[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return pieces
    decode = codecs.getincrementaldecoder("utf-16")("replace").decode
    return (decode(piece).encode() for piece in pieces)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, each of at most :data:`MOST` bytes."""
    begun, length = list[bytes](), 0
    for chunk in chunks:
        *lines, last = chunk.split(b"\n")
        if lines:
            yield b"".join([*begun, lines[0]])
            yield from lines[1:]
            begun, length = [], 0
        begun.append(last[: MOST - length])
        length += len(last)
    yield b"".join(begun)


def _of_lines(lines: Iterable[bytes]) -> Iterator[Found]:
    for number, line in enumerate(lines, start=1):
        # Most lines of a log are another program's. Every line of Ringback, and every row of a query, has one of these
        # words.
        if b"outcome" in line or b"rejected" in line or b"disposition" in line:
            try:
                decoded = _decode_line(line)
            except FAULTS:
                yield from _second_look(line, number)
                continue
            if decoded.event is None:
                decoded.event = decoded.msg or decoded.message
            if decoded.event in _EVENTS and decoded.schema <= NEWEST:
                yield decoded
            else:
                yield from _second_look(line, number)
        elif _is_object(line.strip()):
            yield line
        elif line.strip():
            yield Unread(Why.NO_LINE, line, number)


def _is_object(line: bytes) -> bool:
    return line[:1] == b"{" and line[-1:] == b"}"


def _second_look(line: bytes, number: int) -> Iterator[Found]:
    """Read a line whose JSON is not itself a line of Ringback: JSON with rows, JSON behind other words, or text."""
    for start in dict.fromkeys(max(0, line.find(begins)) for begins in (b"", b"{", b'{"')):
        try:
            content = _decode_any(line[start:])
        except FAULTS:
            continue
        if isinstance(content, dict | list):
            yield from _of_value(cast("object", content), line, number)
            return
    parsed = read(fields_in(line.decode("utf-8", "replace")))
    if isinstance(parsed, Line):
        yield parsed
    else:
        yield Unread(parsed or (Why.BROKEN if _OBJECT.search(line) else Why.NO_LINE), line, number)


def _of_value(content: object, raw: bytes, line: int | None = None) -> Iterator[Found]:
    """The lines of Ringback in the rows of one JSON value, or the value's bytes if Ringback wrote none of the rows.

    ``line`` is the number of the line that the value fills; without a line the rows are numbered.
    """
    others: list[bytes] = []
    any_is_ours = False
    for number, row in enumerate(rows_in(content), start=1):
        parsed = read(row)
        any_is_ours |= parsed is not None
        if parsed is None:
            others.append(encode(row))
        elif isinstance(parsed, Line):
            yield parsed
        else:
            yield Unread(parsed, raw if line else encode(row), line or number, "line" if line else "row")
    if any_is_ours:
        yield from others
    elif isinstance(content, dict):
        yield raw
    else:
        yield Unread(Why.NO_LINE, raw, line or 1)


def _of_values(lines: Iterable[bytes]) -> Iterator[Found]:
    """Read values that go over several lines, as ``jq`` writes values; a line that begins no value is unread."""
    kept: list[bytes] = []
    length = 0
    for line in lines:
        kept.append(line)
        length += len(line) + 1
        if length > MOST:
            raise TooLong(f"values over several lines are longer than {MOST} bytes; write each JSON value on one line")
    text = b"\n".join(kept).decode("utf-8", "replace")
    at = number = counted = 0
    while at < len(text):
        try:
            content, end = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = text.find("\n", at) + 1 or len(text)
            passed = text[at:end].strip()
            if passed:
                number += text.count("\n", counted, at)
                counted = at
                yield Unread(
                    Why.BROKEN if "{" in passed else Why.NO_LINE, passed.encode("utf-8", "replace"), number + 1
                )
            at = end
            continue
        yield from _of_value(content, text[at:end].encode("utf-8", "replace"))
        at = end
        while text[at : at + 1].isspace():
            at += 1


def _of_csv(written: Iterable[bytes]) -> Iterator[Found]:
    """Read CSV as Azure's portal exports it: the first row has the names."""
    lines = (line.decode("utf-8-sig", "replace") + "\n" for line in written)
    header = next(line for line in lines if line.strip())
    separator = _separator(header) or ","
    names = _row(header, separator)
    rows = csv.reader(lines, delimiter=separator)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            yield Unread(Why.BROKEN, b"", 1 + rows.line_num)
            continue
        if row is None:
            return
        fields = {name: value for name, value in zip(names, row, strict=False) if value}
        parsed = read(fields)
        if isinstance(parsed, Line):
            yield parsed
        elif parsed is not None:
            yield Unread(parsed, b"", 1 + rows.line_num)
        elif fields:
            yield encode(fields)


_COLUMNS = frozenset(
    "customDimensions Properties message Message Log_s LogEntry LogMessage ResultDescription cause event_type".split()
)
_COLUMN = re.compile(r"[A-Za-z_$@][\w.]*(?: \[[^\]]*\])?")


def _row(line: str, separator: str) -> list[str]:
    """The fields of one CSV line; none for a line that the csv module refuses."""
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:
        return []


def _separator(header: str) -> str | None:
    """The separator of an exported header's names; ``None`` for a line that is no such header."""
    for separator in ",;\t":
        names = [name.strip().strip('"') for name in _row(header, separator)]
        if len(names) > 1 and not _COLUMNS.isdisjoint(names) and all(map(_COLUMN.fullmatch, names)):
            return separator
    return None


def _is_csv(begun: list[bytes]) -> bool:
    header = begun[0].decode("utf-8-sig", "replace") if begun else ""
    separator = _separator(header)
    if separator is None or len(begun) < 2:
        return separator is not None
    # Any text may have a comma. Below a header stands a row with as many commas, which is no JSON.
    row = begun[1].decode("utf-8", "replace")
    return row.count(separator) >= header.count(separator) and not _is_object(begun[1].strip())


def _goes_on(begun: list[bytes]) -> bool:
    """Whether the first line begins a value and does not end it, and the second line is no value by itself."""
    return begun[0].lstrip()[:1] in (b"{", b"[") and not any(map(_is_json, begun)) and _is_begun(begun[0])


def _is_begun(line: bytes) -> bool:
    """Whether JSON breaks off at the end of a line. Text such as ``[INFO]`` breaks off before the end of its line."""
    text = line.decode("utf-8", "replace").strip()
    try:
        _decoder.decode(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except RecursionError:
        return False
    return False


def _is_json(line: bytes) -> bool:
    try:
        _decode_any(line)
    except FAULTS:
        return False
    return True


_EVENTS = frozenset(EVENTS)
_OBJECT = re.compile(rb'\{\s*(?:"|$)')
"""An object of JSON begins here. Text has braces as well: a list of faults, or what another program writes."""
_decode_line = Decoder(Line).decode
_decode_any: Callable[[bytes], Any] = Decoder().decode
_decoder = json.JSONDecoder()
