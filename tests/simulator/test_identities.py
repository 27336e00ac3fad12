"""Users of the resource and their tokens, by the real client of Azure Communication Identity.

https://learn.microsoft.com/rest/api/communication/identity
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import jwt
import pytest
from azure.communication.callautomation import CommunicationUserIdentifier
from azure.communication.callautomation.aio import CallAutomationClient
from azure.communication.identity import CommunicationIdentityClient
from azure.communication.identity.aio import CommunicationIdentityClient as AsyncClient
from azure.core.exceptions import ResourceNotFoundError

from ringback.simulator import Simulator
from ringback.simulator.identities import create, issue
from ringback.simulator.outside import Outside
from ringback.simulator.playbook import Playbook
from ringback.simulator.switchboard import Switchboard
from ringback.simulator.turns import Asked
from ringback.simulator.wire import Refused

NOW = 1_772_701_200.0


def claims(acs: Simulator, token: str) -> dict[str, Any]:
    key = jwt.PyJWK(acs.issuer.key_set["keys"][0]).key
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(token, key, algorithms=["RS256"], options=options)


def test_a_user_and_a_token() -> None:
    """The token is signed, names the user and the scopes, and ends when the reply says."""
    with Simulator(clock=lambda: NOW, seed=7) as acs:
        client = CommunicationIdentityClient(acs.url, acs.credential)
        user, token = client.create_user_and_token(["voip", "chat"], token_expires_in=timedelta(hours=2))
        found = claims(acs, token.token)
        assert (found["skypeid"], found["acsScope"]) == (user.raw_id.removeprefix("8:"), "voip,chat")
        assert (found["exp"], token.expires_on) == (NOW + 7200, "2026-03-05T11:00:00Z")
        other = client.create_user()
        assert other.properties["id"] == other.raw_id
        assert other.raw_id != user.raw_id
        issued = client.get_token(other, ["voip"])
        assert claims(acs, issued.token)["exp"] == NOW + 24 * 3600
        client.revoke_tokens(other)
        client.delete_user(other)
        for act in (client.delete_user, client.revoke_tokens, lambda who: client.get_token(who, ["voip"])):
            with pytest.raises(ResourceNotFoundError, match="none that this simulator has created"):
                act(other)


def test_users_of_teams_are_not_simulated() -> None:
    """404 says that there is no such operation."""
    with Simulator() as acs:
        client = CommunicationIdentityClient(acs.url, acs.credential)
        with pytest.raises(ResourceNotFoundError, match="The simulator has no such operation"):
            client.get_token_for_teams_user("token", "client", "user")


async def test_a_user_is_called() -> None:
    """The asynchronous client escapes the colons of an id when it signs, and not when it sends."""
    with Simulator("connected", latency=(0, 0), signed=False) as acs:
        async with AsyncClient(acs.url, acs.credential) as identities:
            user = await identities.create_user()
            token = await identities.get_token(user, ["voip"])
            assert token.token.count(".") == 2
            await identities.revoke_tokens(user)
            async with CallAutomationClient(acs.url, acs.credential) as client:
                callee = CommunicationUserIdentifier(user.properties["id"])
                await client.create_call(callee, "https://app.example.com/cb")
            await identities.delete_user(user)
        assert acs.calls[0].targets[0]["rawId"] == user.raw_id


@pytest.mark.parametrize(
    ("scopes", "minutes", "said"),
    [
        (["fax"], 60, "createTokenWithScopes names no scopes, or others than chat, voip"),
        ([], 60, "createTokenWithScopes names no scopes"),
        ("voip", 60, "createTokenWithScopes names no scopes"),
        (["voip"], 59, "expiresInMinutes is no number from 60 to 1440"),
        (["voip"], 1441, "expiresInMinutes is no number from 60 to 1440"),
        (["voip"], "long", "expiresInMinutes is no number from 60 to 1440"),
        (["voip"], True, "expiresInMinutes is no number from 60 to 1440"),
    ],
)
def test_a_token_that_cannot_be_is_refused(scopes: Any, minutes: Any, said: str) -> None:
    """No user is made either."""
    switchboard = Switchboard(Playbook(), Outside(random=Random(7)))
    with pytest.raises(Refused, match=said):
        create(switchboard, Asked({"createTokenWithScopes": scopes, "expiresInMinutes": minutes}, "2023-10-01"))
    assert switchboard.identities == set()


def test_a_token_of_a_user_who_is_unknown() -> None:
    """A switchboard without an issuer gives a token that nobody signed."""
    switchboard = Switchboard(Playbook(), Outside(random=Random(7)))
    user = create(switchboard, Asked({"createTokenWithScopes": ["voip"]}, "2023-10-01")).content
    assert user is not None
    assert user["accessToken"]["token"] == "unsigned"
    with pytest.raises(Refused, match="none that this simulator has created"):
        issue(switchboard, Asked({"scopes": ["voip"]}, "2023-10-01", raw_id="8:acs:nobody"))
