"""How the service writes a result with its message, a participant, and a time."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime

    from ringback.testing.calls import Call

Detail = int | tuple[int, str]
"""The detail of a result, a SIP status or a Q.850 cause: the code, or the code and the carrier's text."""


def _phrase(code: int) -> str:
    """The reason phrase of a SIP status (RFC 3261, section 21)."""
    return _PHRASES.get(code, "The conversation has ended" if 200 <= code < 300 else "Call failed")


def diagnosed(code: int, subcode: int, _: object = None) -> str:
    """The message of a call's end. The message has the code 0 of Microsoft's tables where the result has 200."""
    return f"{_phrase(code)}. DiagCode: {0 if 200 <= code < 300 else code}#{subcode}.@"


# The messages of a result, by kind of event, as in the recorded deliveries.
def control(code: int, subcode: int, _: Call) -> str:
    return "" if 200 <= code < 300 else diagnosed(code, subcode)


def media(code: int, subcode: int, _: Call) -> str:
    usual = "Action completed successfully." if 200 <= code < 300 else "Action failed."
    return _MEDIA.get(subcode, usual)


def adding(code: int, subcode: int, call: Call) -> str:
    if 200 <= code < 300:
        return ""
    return (
        f"addParticipants failed for participant {identifier(call.callee)['rawId']}. "
        f"Underlying reason: {diagnosed(code, subcode)}"
    )


def identifier(who: str) -> dict[str, Any]:
    """The identifier of a participant, from a telephone number or a raw id such as ``8:acs:...`` or ``4:+1555...``."""
    number = who.removeprefix("4:")
    if number.startswith("+"):
        return {"rawId": f"4:{number}", "kind": "phoneNumber", "phoneNumber": {"value": number}}
    return {"rawId": who, "kind": "communicationUser", "communicationUser": {"id": who}}


def timestamp(time: datetime | str) -> str:
    """A time as the service writes it: with seven digits, because a test must show what a parser of six digits does.

    A time without a zone is in UTC.
    """
    if isinstance(time, str):
        return time
    utc = time if time.tzinfo is None else time.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S.%f}7+00:00"


def refuse_without_code(**given: object) -> None:
    """Raise :class:`ConfigurationError` for a part of a result that has no code: the event would leave the part out."""
    for name, value in given.items():
        if value is not None:
            raise ConfigurationError(
                f"{name} {value!r} is a part of a result, and a result has a code; give a code, too"
            )


def result(
    code: int, subcode: int, message: str, sip: Detail | None = None, q850: Detail | None = None
) -> dict[str, Any]:
    """A ``resultInformation`` with the details that are given."""
    information: dict[str, Any] = {"code": code, "subCode": subcode, "message": message}
    for key, detail, texts in (("sipDetails", sip, _PHRASES), ("q850Details", q850, _Q850)):
        if detail is not None:
            number, text = detail if isinstance(detail, tuple) else (detail, texts.get(detail, ""))
            information[key] = {"code": number, "message": text}
    return information


_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    410: "Gone",
    429: "Too Many Requests",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
}

# Causes of ITU-T Q.850 with which calls to people end.
_Q850 = {
    1: "Unallocated (unassigned) number",
    16: "Normal call clearing",
    17: "User busy",
    18: "No user responding",
    19: "No answer from user (user alerted)",
    21: "Call rejected",
    27: "Destination out of order",
    28: "Invalid number format (address incomplete)",
    31: "Normal, unspecified",
    34: "No circuit/channel available",
    38: "Network out of order",
    41: "Temporary failure",
    102: "Recovery on timer expiry",
}

# https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/recognize-action and play-action
_MEDIA = {
    8508: "Action failed, the operation was canceled.",
    8510: "Action failed, initial silence timeout reached.",
    8511: "Action failed, encountered failure while trying to play the prompt.",
    8514: "Action completed as stop tone was detected.",
    8531: "Action completed, max digits received.",
    8532: "Action failed, inter-digit silence timeout reached.",
    8533: "Action completed, DTMF option matched.",
    8534: "Action failed, incorrect tone entered.",
    8535: "Action failed, file format is invalid.",
    8536: "Action failed, file could not be downloaded.",
    8545: "Action completed, speech option matched.",
    8547: "Action failed, recognized phrase does not match a valid option.",
    8563: "Action failed, speech could not be recognized.",
    8569: "Action completed, speech was recognized.",
    8570: "Action failed, speech recognition timed out.",
    8572: "Action failed due to play service shutdown.",
    9999: "Unknown internal server error.",
}
