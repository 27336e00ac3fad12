"""The reader of the package's data files, which are TOML."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ringback_catalog.errors import CatalogError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def package_files() -> Traversable:
    """The folder of the data files, also within a zip file."""
    return files("ringback_catalog")


def read_toml(place: Traversable) -> dict[str, Any]:
    """The tables of a file. Raises :class:`CatalogError` that names the file, the line and the fault."""
    # Here, because the parser's patterns take a while to compile, and who imports the package may need no catalog.
    import tomllib

    try:
        return tomllib.loads(place.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{place.name}: is not TOML: {error}") from error
