"""A struct as JSON, whatever text it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from msgspec import UNSET, Raw, Struct, to_builtins
from msgspec.json import Encoder
from msgspec.structs import asdict

if TYPE_CHECKING:
    from collections.abc import Iterable


def encoded(value: Struct) -> bytes:
    """The struct as JSON in UTF-8; a lone surrogate, which UTF-8 cannot hold, is written as its escape."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        # JSON cannot bring a lone surrogate, but an app's own event or an exception's file name can.
        fields = {name: field for name, field in asdict(value).items() if field not in (None, UNSET, {})}
        return _encoder.encode(
            {name: field if isinstance(field, Raw) else _escaped(to_builtins(field)) for name, field in fields.items()}
        )


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(member) for key, member in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_escaped(element) for element in cast("Iterable[Any]", value)]
    return value


_encoder = Encoder()
