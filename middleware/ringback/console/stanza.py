"""A block of overrides for a pair that the catalog does not know. Pure."""

from __future__ import annotations

import tomllib
from functools import lru_cache

from ringback_catalog import Catalog, CatalogError, Cause, Owner, RetryClass


@lru_cache(maxsize=1024)
def stanza(
    code: int | None,
    subcode: int | None,
    cause: str = Cause.UNKNOWN,
    retry: str | None = None,
    owner: str | None = None,
) -> str | None:
    """TOML for :meth:`~ringback_catalog.Catalog.with_overrides`; ``None`` if no row can have these numbers.

    The block holds numbers and words of the catalog, so nothing private. Unedited, the block changes no verdict.
    """
    for verdict in ((cause, retry or RetryClass.AFTER_FIX, owner or Owner.APP), _NEUTRAL):
        block = _block(code, subcode, *verdict)
        try:
            Catalog.default().with_overrides(tomllib.loads(block))
        except CatalogError:
            continue
        return block
    return None


def _block(code: int | None, subcode: int | None, cause: str, retry: str, owner: str) -> str:
    numbers = {"code": code, "subcode": subcode}
    key = "".join(f"{name} = {number}\n" for name, number in numbers.items() if number is not None)
    return (
        f"[[entry]]\n{key}"
        "# why it ended; the causes are those of `ringback catalog`\n"
        f'cause = "{Cause(cause)}"\n'
        "# none, now, later, after_fix or never: may we call again?\n"
        f'retry = "{RetryClass(retry)}"\n'
        "# nobody, callee, app, admin, carrier or azure: who must act?\n"
        f'owner = "{Owner(owner)}"\n'
        'summary = "Say in one line what happened."\n'
        'advice = ["Say what to do about it."]\n'
        "# leave this out, and nothing that a carrier reports with a call (SIP, Q.850) changes the row\n"
        "refine = true\n"
    )


_NEUTRAL = (Cause.UNKNOWN, RetryClass.AFTER_FIX, Owner.APP)
