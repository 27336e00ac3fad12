"""How long a failed request asks to wait, read as azure-core reads it, and bounded."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies._utils import get_retry_after
from azure.core.utils import case_insensitive_dict
from hypothesis import given
from hypothesis import strategies as st

from redialing import NOW, HttpError
from ringback.hooks.request_errors import causes, retry_after
from ringback.work.pace import LONGEST_PAUSE

WIRE = "Tue, 14 Nov 2023 22:15:20 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "86401"}, LONGEST_PAUSE),
        ({"Retry-After": "inf"}, LONGEST_PAUSE),
        ({"Retry-After": WIRE}, 120.0),
        ({"Retry-After": "Tuesday, 14-Nov-23 22:15:20 GMT"}, 120.0),
        ({"Retry-After": "Tue Nov 14 22:15:20 2023"}, 120.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:15:20 -0000"}, 120.0),
        ({"Retry-After": "Tue, 14 Nov 2023 23:15:20 +0100"}, 120.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:19 GMT"}, 0.0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_PAUSE),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"x-ms-retry-after-ms": "1", "retry-after-ms": "2", "Retry-After": "3"}, 3.0),
        ({"x-ms-retry-after-ms": "1", "retry-after-ms": "2"}, 0.002),
        ({"retry-after-ms": "2", "Retry-After": "soon"}, 0.002),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Tue, 99 Nov 2023 22:15:20 GMT"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("kind", [case_insensitive_dict, httpx.Headers, dict])
def test_every_legal_form_says_how_long(headers: dict[str, str], seconds: float | None, kind: Any) -> None:
    """From 0 seconds to a day; what is no wait says nothing, and the next header is asked."""
    assert retry_after(HttpError(429, kind(headers)), NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("error", [HttpError(429), ValueError(), HttpResponseError("down")], ids=repr)
def test_an_error_without_headers_says_nothing(error: Exception) -> None:
    assert retry_after(error, NOW) is None


def test_the_error_that_was_the_reason_is_asked_too() -> None:
    """An app may raise its own error from that of the client."""
    error = RuntimeError("no call")
    error.__cause__ = HttpError(429, {"Retry-After": "7"})
    assert retry_after(error, NOW) == 7.0
    error.__cause__.__cause__ = error
    assert list(causes(error)) == [error, error.__cause__]


class _Response:
    """What azure-core asks for headers."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers


numbers = st.integers(0, 10_000_000).map(str) | st.floats(0, 1e7).map(lambda number: f"{number:.3f}")
dates = st.datetimes(datetime(1995, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: format_datetime(moment.replace(microsecond=0), usegmt=True)
)


@given(
    st.dictionaries(st.sampled_from(["retry-after-ms", "x-ms-retry-after-ms"]), numbers),
    st.none() | numbers | dates,
)
def test_azure_core_reads_the_same(headers: dict[str, str], usual: str | None) -> None:
    """But for the bound: a service must not stop all redials for longer than a day."""
    given = headers if usual is None else headers | {"Retry-After": usual}
    response: Any = PipelineResponse(None, _Response(given), None)  # type: ignore[arg-type,var-annotated]
    now = time.time()
    theirs = get_retry_after(response)
    ours = retry_after(HttpError(429, case_insensitive_dict(given)), now)
    if theirs is None:
        assert ours is None
    else:
        # A date counts from the clock, which goes on between the two.
        assert ours == pytest.approx(min(theirs, LONGEST_PAUSE), abs=10.0 if usual in given.values() else 1e-6)
