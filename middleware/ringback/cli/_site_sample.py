"""Sample events: for an entry of the catalog an event that the entry answers, and the command that posts the event."""

from __future__ import annotations

import json
import shlex
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS, event_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback_catalog import Catalog, Entry, Key, Verdict

ENDPOINT = "http://127.0.0.1:8000/api/callbacks"
"""The endpoint in the commands of the pages: the README's path on uvicorn's default port."""

_EVENTS = ("CallDisconnected", "CreateCallFailed", "AnswerFailed", "ConnectFailed")
_OPERATIONS = ("PlayFailed", "PlayCompleted", "RecognizeCompleted", "AddParticipantSucceeded")

_POSTED = (CALL_EVENTS | OPERATION_EVENTS) - {"CallEnded"}
"""The events of Call Automation. Event Grid alone sends CallEnded."""


class Sample(NamedTuple):
    """An event's report. An event without code and subcode has no result; ``phrase`` is the text of the SIP status."""

    event: str
    code: int | None
    subcode: int | None
    sip: int | None = None
    phrase: str | None = None
    q850: int | None = None

    def verdict(self, catalog: Catalog) -> Verdict:
        return catalog.look_up(
            self.event, self.code, self.subcode, sip=self.sip, sip_message=self.phrase, q850=self.q850
        )

    def delivery(self) -> str:
        """The body of a delivery with this event, laid out. All samples have the same ids and time."""
        # Imported late: the package that builds events for tests is not small.
        from ringback.testing.builder import call_event
        from ringback.testing.calls import Call
        from ringback.testing.events import BUILDERS

        call, builder = Call.seeded("page"), BUILDERS.get(self.event)
        if builder is None or self.code is None:
            event = call_event(self.event, self.code, self.subcode or 0, call=call)
        else:
            sip = self.sip if self.sip is None or self.phrase is None else (self.sip, self.phrase)
            event = builder(self.code, self.subcode, sip=sip, q850=self.q850, call=call)
        return json.dumps([event], indent=2)

    def command(self) -> str | None:
        """The command that posts the sample to :data:`ENDPOINT`; ``None`` if Call Automation sends no such event."""
        if event_name(self.event) not in _POSTED:
            return None
        if self.code is None:
            return f"ringback trigger old_api --to {ENDPOINT}"
        words = ["ringback", "trigger", f"{self.code}/{self.subcode}", "--event", self.event]
        if self.sip is not None:
            words += ["--sip", " ".join(filter(None, [str(self.sip), self.phrase]))]
        if self.q850 is not None:
            words += ["--q850", str(self.q850)]
        return shlex.join([*words, "--to", ENDPOINT])


def sample_of(entry: Entry, catalog: Catalog) -> Sample | None:
    """An event that this very entry answers; ``None`` if no event is found, as where another row answers first."""
    return next((sample for sample in _tries(entry) if sample.verdict(catalog).entry.key == entry.key), None)


def _tries(entry: Entry) -> Iterator[Sample]:
    """Events that the entry may answer, the plainest event first."""
    key = entry.key
    events = key.events or (_OPERATIONS if key.scope == "operation" else (*_EVENTS, *_OPERATIONS))
    if key.kind in ("sip", "q850"):
        # A carrier's detail counts where the pair says little, or where the detail is stricter than the pair.
        for event, pair in product(events[1:3], ((500, 560500), (503, 560503), (486, 560486), (500, 0), (480, 560480))):
            yield Sample(event, *pair, key.sip, key.phrase, key.q850)
        return
    for event, (code, subcode) in product(events, _pairs(key, entry)):
        yield Sample(event, code, subcode)


def _pairs(key: Key, entry: Entry) -> Iterator[tuple[int | None, int | None]]:
    if key.special is not None:
        yield from ((None, None), (999, 123), (200, 0), (0, 9999))
    elif key.codes is not None:
        yield from ((code, subcode) for code in range(key.codes.low, key.codes.high + 1) for subcode in (0, 4242))
    elif key.pattern is not None:
        subcodes = [int(key.pattern.replace("x", digit)) for digit in "1203456789"]
        yield from product((500, 400, 404, 403), subcodes)
    elif key.code is None:
        codes = [codes.low for codes in entry.with_codes] or [500, 400, 404, 403, 409, 412, 408, 200]
        yield from ((code, key.subcode) for code in codes)
    else:
        yield from ((key.code, subcode) for subcode in ((key.subcode,) if key.subcode is not None else (0, 4242)))
