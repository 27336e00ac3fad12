"""What never leaves in a line."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logged import Kept, attach, judged, no_handlers, raised
from records import line_in
from ringback import DeliveryError, Retry, StoreUnavailable, logs, parse_delivery
from ringback.receiving.intake import Received
from ringback.receiving.replies import refusal
from ringback.work.call_detail import Traces
from ringback.work.call_fold import ended_leg
from ringback_catalog import Scope

pytestmark = pytest.mark.usefixtures("nothing_configured")

NUMBERS = st.builds(
    lambda shape, last: shape.format(last),
    st.sampled_from(
        [
            "+142555501{:02}",
            "+1 425 555 01{:02}",
            "+1 (425) 555-01{:02}",
            "+1.425.555.01{:02}",
            "4:+142555501{:02}",
            "sip:+142555501{:02}@sbc.example.com",
            "tel:+1-425-555-01{:02}",
            " 142555501{:02} ",
            " (425) 555-01{:02} ",
            " 425-555-01{:02},",
        ]
    ),
    st.integers(0, 99),
)
PLANTED = st.builds(lambda before, number, after: f"{before}{number}{after}", st.text(), NUMBERS, st.text())
NUMBER = re.compile(r"425\D{0,3}555\D{0,3}01\d\d")


@given(texts=st.lists(PLANTED, min_size=9, max_size=9), error=PLANTED, encoding=PLANTED, plain=st.booleans())
def test_no_phone_number_is_ever_written(texts: list[str], error: str, encoding: str, plain: bool) -> None:
    """Wherever a sender, a header or a hook's exception hides a number, no rendered line shows it."""
    kind, event_id, leg, server, call, context, message, sip, q850 = texts
    details = {"code": 486, "message": sip}, {"code": 17, "message": q850}
    result = {"code": 486, "subCode": 1, "message": message, "sipDetails": details[0], "q850Details": details[1]}
    ids = {"callConnectionId": leg, "serverCallId": server, "correlationId": call, "operationContext": context}
    events = [
        {"type": event_type, "id": event_id, "data": {**ids, "resultInformation": result}}
        for event_type in (kind, "Microsoft.Communication.CallDisconnected")
    ]
    delivery = parse_delivery(json.dumps([*events, error]))
    outcomes = tuple(map(judged, delivery.events))
    observer, kept = logs.LogObserver(), Kept("%(call_connection_id)s %(correlation_id)s %(message)s")
    kept.addFilter(logs.ContextFilter())
    if plain:
        attach(kept)
    with no_handlers(), contextlib.redirect_stdout(io.StringIO()) as printed, logs.bound_ids(delivery.events):
        list(logs.received(Received(delivery, outcomes)))
        ended = observer.writes_ends()
        assert ended is not None
        for outcome in outcomes:
            with logs.bound_ids([outcome.event]):
                observer.outcomes_duplicate([outcome])
                if outcome.scope is Scope.CALL:
                    ended(outcome, ended_leg(outcome, Traces(), 0.0))
                observer.outcome_unhandled(outcome)
                observer.hook_failed(outcome, "jobs.call_again", raised(ValueError(error)), 1, None)
                observer.hook_failed(outcome, "jobs.call_again", raised(Retry(error)), 1, 2.0)
                observer.hook_overran(outcome, "jobs.call_again", 60.0, 1, 16)
                observer.lease_lost(outcome)
                observer.redial_scheduled(outcome, 1768470031.7, 2)
                observer.redial_put_off(outcome, 1768470031.7, 2)
                observer.redial_exhausted(outcome, "max_attempts")
                observer.redial_skipped(outcome, "no call")
                observer.redial_canceled(outcome)
                observer.redial_placed(outcome, 2, leg)
                observer.redial_unknown(outcome, 2, error)
                observer.store_unavailable(StoreUnavailable(error))
        with pytest.raises(DeliveryError) as refused:
            parse_delivery(b"[]", {"content-encoding": encoding})
        logs.LogObserver().answered(refusal(refused.value))
    logging.getLogger(logs.LOGGER).removeHandler(kept)
    records = [repr(line_in(record)) for record in kept.records]
    written = [*kept.lines, *records, printed.getvalue()]
    assert len(kept.lines) == (33 if plain else 0)
    assert len(printed.getvalue().splitlines()) == (0 if plain else 33)
    assert [line for line in written if NUMBER.search(line)] == []
