"""Communication identities: users of a resource, and the tokens that a calling client of theirs would use.

https://learn.microsoft.com/rest/api/communication/identity
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.simulator.turns import Turn
from ringback.simulator.wire import Refused, list_of, stamp
from ringback.testing.signing import AUDIENCE

if TYPE_CHECKING:
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked

SCOPES = ("chat", "voip", "chat.join", "chat.join.limited", "voip.join")
SHORTEST, LONGEST = 60, 1440
"""Minutes that a token may be valid for; without a word it is valid for the longest time."""


def create(switchboard: Switchboard, asked: Asked) -> Turn:
    """A new user, with a token if the request names scopes."""
    scopes = asked.content.get("createTokenWithScopes")
    token = None if scopes is None else _minutes_and_scopes(asked, "createTokenWithScopes")
    user = f"8:acs:{AUDIENCE}_{switchboard.new_id()}"
    switchboard.identities.add(user)
    content: dict[str, Any] = {"identity": {"id": user}}
    if token is not None:
        content["accessToken"] = _issued(switchboard, user, *token)
    return Turn(content)


def issue(switchboard: Switchboard, asked: Asked) -> Turn:
    user = _known(switchboard, asked)
    return Turn(_issued(switchboard, user, *_minutes_and_scopes(asked, "scopes")))


def revoke(switchboard: Switchboard, asked: Asked) -> Turn:
    """The simulator checks no token of a user, and so a revoked one is like any other."""
    _known(switchboard, asked)
    return Turn()


def delete(switchboard: Switchboard, asked: Asked) -> Turn:
    switchboard.identities.discard(_known(switchboard, asked))
    return Turn()


def _known(switchboard: Switchboard, asked: Asked) -> str:
    if asked.raw_id not in switchboard.identities:
        raise Refused(404, "IdentityNotFound", "The identity is none that this simulator has created.")
    return asked.raw_id


def _minutes_and_scopes(asked: Asked, name: str) -> tuple[int, list[str]]:
    scopes, minutes = list_of(asked.content.get(name)), asked.content.get("expiresInMinutes")
    if not scopes or any(scope not in SCOPES for scope in scopes):
        raise Refused(400, "ValidationError", f"{name} names no scopes, or others than {', '.join(SCOPES)}.")
    if minutes is None:
        minutes = LONGEST
    if type(minutes) is not int or not SHORTEST <= minutes <= LONGEST:
        raise Refused(400, "ValidationError", f"expiresInMinutes is no number from {SHORTEST} to {LONGEST}.")
    return minutes, [str(scope) for scope in scopes]


def _issued(switchboard: Switchboard, user: str, minutes: int, scopes: list[str]) -> dict[str, str]:
    valid = switchboard.outside.validity(60 * minutes)
    claims = {"skypeid": user.removeprefix("8:"), "acsScope": ",".join(scopes), "resourceId": AUDIENCE}
    token = switchboard.outside.token(aud=None, **valid, **claims)
    return {"token": token, "expiresOn": stamp(valid["exp"], "seconds")}
