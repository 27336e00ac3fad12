"""What each word of a verdict says, for a person who reads it. Pure."""

from __future__ import annotations

from ringback_catalog import Cause, Match, Owner, RetryAction, RetryClass

CAUSES = {
    Cause.ENDED: "The call ended as calls do.",
    Cause.HUNG_UP: "A participant hung up.",
    Cause.REMOVED: "A participant was taken out of the call on purpose.",
    Cause.TRANSFERRED: "The call went on elsewhere.",
    Cause.CANCELED: "The caller withdrew the call, or the app its operation.",
    Cause.ANSWERED_ELSEWHERE: "Another device or endpoint took the call.",
    Cause.SUCCEEDED: "An operation within a call did what it should.",
    Cause.BUSY: "The callee was on another call.",
    Cause.NO_ANSWER: "Nobody took the call: it rang in vain, or the phone gave no sign of life.",
    Cause.DECLINED: "A person refused the call.",
    Cause.UNREACHABLE: "The callee, or a device of theirs, could not be reached.",
    Cause.INVALID_NUMBER: "The number cannot be dialed as it is.",
    Cause.NOT_FOUND: "What was asked for does not exist, or does not exist any more.",
    Cause.BLOCKED: "Somebody on the way blocks such calls.",
    Cause.UNAUTHENTICATED: "The service does not know who asks: a token or a key is missing, old or wrong.",
    Cause.FORBIDDEN: "The service knows who asks, and does not allow it.",
    Cause.MISCONFIGURED: "A resource, a number or a Session Border Controller is not set up for it.",
    Cause.BAD_REQUEST: "The request itself is wrong.",
    Cause.UNSUPPORTED: "The service or the other side cannot do this.",
    Cause.CONFLICT: "Two requests were in each other's way, or the call was in another state.",
    Cause.THROTTLED: "There were too many requests at once.",
    Cause.LIMIT_REACHED: "A limit on calls, participants or time was reached.",
    Cause.CLIENT_NETWORK: "The participant's own network failed.",
    Cause.MEDIA: "Sound could not be set up, kept up or played, or what was said or keyed could not be used.",
    Cause.TIMEOUT: "Something took longer than it may.",
    Cause.SERVICE_ERROR: "The service failed on its own side.",
    Cause.CARRIER_ERROR: "The telephone network failed.",
    Cause.UNREPORTED: "The event carried no result at all.",
    Cause.UNKNOWN: "No source says what this means.",
}
"""Every cause in a sentence."""

RETRIES = {
    RetryClass.NONE: "no: it ended as intended",
    RetryClass.NOW: "yes, at once",
    RetryClass.LATER: "yes, after some time",
    RetryClass.AFTER_FIX: "not before something is put right",
    RetryClass.NEVER: "no, never",
}
"""Whether to call again, in words."""

ACTIONS = {
    RetryAction.PLACE_CALL: "dial again",
    RetryAction.CONNECT_CALL: "connect again",
    RetryAction.CALL_BACK: "they had called; a person decides",
    RetryAction.REPEAT_OPERATION: "the call may be up; repeat the operation",
}
"""Every retry action in words."""

OWNERS = {
    Owner.NOBODY: "it ended as intended",
    Owner.CALLEE: "the person or device called",
    Owner.APP: "whoever develops your app",
    Owner.ADMIN: "whoever runs the resource, the numbers or the SBC",
    Owner.CARRIER: "the carrier or the SBC's operator",
    Owner.AZURE: "Microsoft",
}
"""Every owner in words."""

MATCHED = {
    Match.EXACT: "event, code and subcode",
    Match.PAIR: "code and subcode, whatever the event",
    Match.SUBCODE: "the subcode, which the catalog has with one other code alone",
    Match.SIP_SUBCODE: "the SIP status within the subcode; the pair itself is not listed",
    Match.GENERIC_SUBCODE: "the subcode, whatever the code",
    Match.CODE: "the code alone",
    Match.RANGE: "only the range of the code",
    Match.NONE: "no row knows the code or the subcode",
}
"""Which part of a result found its entry."""

REFINED = {
    "sip": "the carrier's SIP status, which says more than the subcode",
    "q850": "the carrier's Q.850 cause, which says more than the subcode",
    "event": "the event's name, which outranks the code",
    "status": "the service's own word for why it failed, which says more than the code",
}
"""What changed a verdict after its entry was found."""
