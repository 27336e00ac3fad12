"""From the text of a token to its parts: one spelling, and a refusal for any other text."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.senders.auth import Refusal
from ringback.senders.jwt import SignedToken, read_token


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def written(header: Any, payload: bytes = b"{}", signature: bytes = b"s") -> str:
    return f"{encoded(json.dumps(header).encode())}.{encoded(payload)}.{encoded(signature)}"


parts = st.binary(min_size=1, max_size=50)


@given(key_id=st.text(min_size=1, max_size=256), payload=parts, signature=parts)
def test_what_was_written_is_read(key_id: str, payload: bytes, signature: bytes) -> None:
    """The bytes of each part, and what the signature is of, as it stands there."""
    text = written({"alg": "RS256", "kid": key_id}, payload, signature)
    assert read_token(text) == SignedToken(key_id, text.rpartition(".")[0].encode(), payload, signature)


@given(
    text=st.text(max_size=50)
    | st.from_regex(r"[A-Za-z0-9_-]{0,9}(\.[A-Za-z0-9_-]{0,9}){2}", fullmatch=True)
    | st.lists(st.binary(max_size=20).map(encoded), min_size=1, max_size=5).map(".".join)
)
def test_any_other_text_is_refused(text: str) -> None:
    """Never an exception. Of three parts the first may happen to be JSON."""
    assert read_token(text) in (Refusal("token_malformed"), Refusal("algorithm_refused"))


@given(payload=parts, signature=parts, part=st.integers(1, 2), data=st.data())
def test_a_part_has_one_spelling(payload: bytes, signature: bytes, part: int, data: st.DataObject) -> None:
    """No second text with the same bytes, as decoders accept with padding, white space or spare bits."""
    pieces = written({"alg": "RS256", "kid": "a"}, payload, signature).split(".")
    piece = pieces[part]
    place = data.draw(st.integers(0, len(piece)))
    pieces[part] = data.draw(
        st.sampled_from([f"{piece}=", f"{piece}==", *(f"{piece[:place]}{sign}{piece[place:]}" for sign in "\n +/=~é")])
        | st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_").map(
            lambda last: piece[:-1] + last
        )
    )
    read = read_token(".".join(pieces))
    if pieces[part] != piece and not isinstance(read, Refusal):
        assert (read.payload, read.signature) != (payload, signature)


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.text())


@given(header=json_values | st.dictionaries(st.sampled_from("alg kid crit b64 typ jwk".split()), json_values))
def test_no_header_does_harm(header: Any) -> None:
    """A token of RS256 that names a key, or a reason."""
    read = read_token(written(header))
    if isinstance(read, Refusal):
        known = {"token_malformed", "algorithm_refused", "extension_refused", "key_id_missing"}
        assert read.reason in known
    else:
        assert (header["alg"], header["kid"]) == ("RS256", read.key_id)
        assert not {"crit", "b64"} & set(header)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
def test_a_header_is_utf_8(encoding: str) -> None:
    """RFC 7515, section 3; Python's decoder of JSON guesses others."""
    header = json.dumps({"alg": "RS256", "kid": "é"}, ensure_ascii=False).encode(encoding)
    assert read_token(f"{encoded(header)}.e30.e30") == Refusal("token_malformed")
