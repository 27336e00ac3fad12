"""The looks of causes and of dispositions: one colour and one pattern each, the same in every chart and range. Pure.

Two causes of one colour have different patterns, so that nobody has to tell colours apart, and a name stands beside
each. Dispositions are greys, which no cause has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

CAUSE_COLOURS = ("blue", "orange", "green", "purple", "red", "ochre", "teal")
ENDING_COLOURS = ("light", "middle", "strong")
"""The greys of the dispositions. The style sheet has the values of every colour, for light and for dark pages."""

INTENDED, RETRYABLE, FAILED = "intended", "retryable", "failed"
ENDINGS = (INTENDED, RETRYABLE, FAILED)
"""A disposition, terminal in two parts: what ended as intended, and what failed."""


class Look(Struct, frozen=True):
    """A colour of the style sheet, and a pattern."""

    colour: str
    pattern: str


# By the pattern with which a colour fills a shape.
_CAUSES: Mapping[str, tuple[Cause, ...]] = {
    # What fails often has a plain colour of its own.
    "solid": (
        Cause.BUSY, Cause.NO_ANSWER, Cause.INVALID_NUMBER, Cause.DECLINED,
        Cause.CARRIER_ERROR, Cause.UNREACHABLE, Cause.HUNG_UP,
    ),
    "rising": (
        Cause.THROTTLED, Cause.TIMEOUT, Cause.NOT_FOUND, Cause.BLOCKED,
        Cause.SERVICE_ERROR, Cause.MISCONFIGURED, Cause.ENDED,
    ),
    "falling": (
        Cause.CONFLICT, Cause.MEDIA, Cause.BAD_REQUEST, Cause.FORBIDDEN,
        Cause.UNKNOWN, Cause.LIMIT_REACHED, Cause.CANCELED,
    ),
    "dots": (
        Cause.CLIENT_NETWORK, Cause.UNSUPPORTED, Cause.ANSWERED_ELSEWHERE, Cause.UNAUTHENTICATED,
        Cause.UNREPORTED, Cause.TRANSFERRED, Cause.SUCCEEDED,
    ),
    "bars": (Cause.REMOVED,),
}  # fmt: skip

CAUSES: Mapping[Cause, Look] = {
    cause: Look(colour, pattern)
    for pattern, causes in _CAUSES.items()
    for colour, cause in zip(CAUSE_COLOURS, causes, strict=False)
}
"""The look of every cause."""

LOOKS: Mapping[str, Look] = {
    **{cause.value: look for cause, look in CAUSES.items()},
    **dict(zip(ENDINGS, map(Look, ENDING_COLOURS, ("solid", "rising", "solid")), strict=True)),
}
"""The looks by the names that charts use."""
