"""Which requests may reach a guarded route, by method and path; test_gate.py of the adapters asks the frameworks."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import ConfigurationError
from ringback.receiving.target import SPELLINGS, Fit, GuardedPaths, canonical_method

CALLBACKS = "/api/callbacks/{context_id}"


@pytest.mark.parametrize(
    ("template", "path", "roots", "fit"),
    [
        pytest.param("/cb", "/cb", [], "exact", id="literal"),
        pytest.param("/cb", "/cb/", [], "spelled", id="slash at the end"),
        pytest.param("/cb/", "/cb", [], "spelled", id="slash at the end of the template"),
        pytest.param("/cb", "//cb", [], "spelled", id="two slashes"),
        pytest.param("/cb", "cb", [], "spelled", id="no slash"),
        pytest.param("/cb", "/cb\n", [], "spelled", id="line feed at the end, which '$' takes"),
        pytest.param("/cb", "/cb;v=1", [], "spelled", id="parameter"),
        pytest.param("/a/cb", "/a;v=1/cb", [], "spelled", id="parameter inside"),
        pytest.param("/cb", "/./x/../cb", [], "spelled", id="dot segments"),
        pytest.param("/cb", "/../../cb", [], "spelled", id="above the root"),
        pytest.param("/cb", "/c%62", [], "spelled", id="encoded"),
        pytest.param("/cb", "/c%2562%2F", [], "spelled", id="encoded twice more"),
        pytest.param("/c%62", "/cb", [], "spelled", id="encoded template"),
        pytest.param("/cb", "http://a.example:80/cb?x#y", [], "spelled", id="absolute form"),
        pytest.param("/cb", "http://a.example/c\tb", [], "spelled", id="absolute form with what urllib drops"),
        pytest.param("/cb", "http://[", [], None, id="no absolute form"),
        pytest.param("/cb/{id}", "/cb/..", [], "exact", id="a value that looks like a dot segment"),
        pytest.param("/cb/{id}", "//cb/..", [], "spelled", id="the same, with two slashes"),
        pytest.param("/cb/{id}", "/cb/a%2Fb", [], "exact", id="a value with an encoded slash"),
        pytest.param("/cb/{id}", "/cb/;x", [], "exact", id="a value that looks like a parameter"),
        pytest.param("/cb/{id}", "/cb/a/b", [], None, id="one segment too many"),
        pytest.param("/cb/{id}", "/cb/", [], None, id="one too few"),
        pytest.param("/n/{id:int}", "/n/7", [], "exact", id="number"),
        pytest.param("/n/{id:int}", "/n/+7", [], "spelled", id="number with a sign"),
        pytest.param("/n/{id:int}", "/n/\u0667", [], "spelled", id="number in other digits"),
        pytest.param("/n/{id:int}", "/n/new", [], None, id="no number"),
        pytest.param("/n/{id:float}", "/n/1.5", [], "exact", id="fraction"),
        pytest.param("/n/{id:float}", "/n/1e5", [], "spelled", id="fraction with an exponent"),
        pytest.param("/n/{id:float}", "/n/-inf", [], "spelled", id="infinite"),
        pytest.param("/n/{id:float}", "/n/new", [], None, id="no fraction"),
        pytest.param("/u/{id:uuid}", "/u/1f0e5c1a-0000-4000-8000-000000000001", [], "exact", id="UUID"),
        pytest.param("/u/{id:uuid}", "/u/{1f0e5c1a000040008000000000000001}", [], "spelled", id="UUID in braces"),
        pytest.param("/u/{id:uuid}", "/u/new", [], None, id="no UUID"),
        pytest.param("/r/{rest:path}", "/r/a/b\n", [], "exact", id="rest of the path"),
        pytest.param("/r/{rest:path}/end", "/r/a//b/end/", [], "spelled", id="rest of the path, and an end"),
        pytest.param("/v{n:int}-{name}", "/v1-a", [], "exact", id="parameters in one segment"),
        pytest.param("/cb", "/sub/cb", ["/sub"], "exact", id="below a root path"),
        pytest.param("/cb", "/sub/cb", ["/sub/", ""], "exact", id="root path with a slash"),
        pytest.param("/cb", "/sub/cb/", ["/sub"], "spelled", id="spelled, below a root path"),
        pytest.param("/sub/cb", "/sub/cb", ["/sub"], "exact", id="with the root path in the template"),
        pytest.param("/sub/cb", "/v1/sub/cb", ["/v1/sub"], "exact", id="the mount's prefix without the server's"),
        pytest.param("/sub/cb", "/v1/sub/cb/", ["/v1/sub"], "spelled", id="spelled, without the server's prefix"),
        pytest.param("/cb", "/a/b/c/cb", ["/a/b/c"], "exact", id="without the prefixes of three mounts"),
        pytest.param("/b/c/cb", "/a/b/c/cb", ["/a/b/c/"], "exact", id="with the prefixes of two mounts"),
        pytest.param("/ub/cb", "/v1/sub/cb", ["/v1/sub"], None, id="half a prefix"),
        pytest.param("/cb", f"{'/a' * 40}/cb", ["/a" * 40], "exact", id="a root path of many segments"),
        pytest.param("/b/cb", f"{'/a' * 40}/b/cb", [f"{'/a' * 40}/b"], "exact", id="a mount behind many segments"),
        pytest.param("/b/cb", f"{'/a' * 40}/b//cb", [f"{'/a' * 40}/b"], "spelled", id="spelled behind many segments"),
        pytest.param("/cb", "/x/sub/cb", ["/sub"], "spelled", id="something before the root path"),
        pytest.param("/cb", "/subcb", ["/sub"], "spelled", id="root path without a slash after it"),
        pytest.param("/cb", "/subway/cb", ["/sub"], None, id="root path that is no prefix of names"),
        pytest.param("/cb", "/cb", ["/"], "exact", id="root path of a slash"),
        pytest.param("/cb", "x//cb", ["/"], "spelled", id="something before a root path of a slash"),
        pytest.param("/sub/cb", "/cb", ["/sub"], "spelled", id="the public path, cut off by a proxy"),
        pytest.param("/c/{id:path}/x", "/sub//c//x", ["/sub/"], "spelled", id="root path with a slash, and no value"),
        pytest.param("/cb", "/c\tb", [], "spelled", id="a tab, which Starlette's URL has not"),
        pytest.param("/cb", "/\rcb\r", [], "spelled", id="ends of lines"),
        pytest.param("/api/cb", "/x//../api/cb", [], "spelled", id="slashes merged before dots are resolved"),
        pytest.param("/api/cb", "/x/../api//cb", [], "spelled", id="slashes merged after dots were resolved"),
        pytest.param("/", "//", [], "spelled", id="root"),
        pytest.param("/a.b", "/acb", [], None, id="a template is no regular expression"),
        pytest.param("/cb", "/CB", [], None, id="upper case"),
        pytest.param("/cb", "/other", [], None, id="foreign path"),
    ],
)
def test_a_path_fits_in_every_form_that_a_framework_may_read_it_as(
    template: str, path: str, roots: list[str], fit: Fit | None
) -> None:
    """A value of a parameter stays one, also where a step of another framework would take it apart."""
    assert GuardedPaths([template]).fit(path, roots) is fit


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_value_of_a_parameter_always_fits(value: str) -> None:
    """Whatever Starlette's route takes, letter by letter, the gate takes."""
    path = f"/api/callbacks/{value}"
    assert ("/" in value or not value) or GuardedPaths([CALLBACKS]).fit(path) == "exact"


@given(st.text(max_size=200), st.lists(st.text(max_size=5), max_size=2))
def test_any_text_fits_or_does_not(path: str, roots: list[str]) -> None:
    """A path is the sender's: no text is an error."""
    assert GuardedPaths([CALLBACKS]).fit(path, roots) in ("exact", "spelled", None)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_spellings_to_test_a_gate_with_fit(spelling: str) -> None:
    """They are other texts of one path."""
    method, target = SPELLINGS[spelling]("/api/callbacks")
    fit = GuardedPaths(["/api/callbacks"]).fit(target.replace("%2F", "/"))
    assert (canonical_method(method), fit) == ("POST", "exact" if method == "post" else "spelled")


@pytest.mark.parametrize(
    "odd", ["/" * 12_000, "/.." * 4_000, "%25" * 4_000, ";" * 12_000, "\n" * 12_000, "/1" * 6_000, "http://" * 2_000]
)
@pytest.mark.parametrize(
    "template", ["/cb/{id}/x", "/n/{id:int}/x", "/n/{id:float}/x", "/u/{id:uuid}/x", "/{p:path}/x"]
)
def test_the_longest_path_costs_no_more_than_its_length(template: str, odd: str) -> None:
    """Each step and pattern is linear: an exponential one would not end here."""
    guarded = GuardedPaths([template])
    path = template.partition("{")[0] + odd
    assert guarded.fit(path, ["/cb"]) is None
    assert guarded.is_near(path) in (True, False)


@pytest.mark.parametrize(
    ("path", "roots"),
    [
        pytest.param("/a" * 2_000, ["/a" * 1_000], id="a root of a thousand segments"),
        pytest.param("/a" + "/./;x//%2525" * 5_000, ["/a"], id="a long path that each step changes"),
    ],
)
def test_what_has_too_many_forms_to_compare_must_pass_the_gate(path: str, roots: list[str]) -> None:
    """A sender who makes the comparison long gains nothing by it: neither the loop's time nor a way in."""
    assert GuardedPaths(["/cb"]).fit(path, roots) == "spelled"


@pytest.mark.parametrize(
    ("template", "path", "near"),
    [
        pytest.param("/api/callbacks", "/sub/api/callbacks", True, id="prefix of a mount"),
        pytest.param("/sub/api/callbacks", "/api/callbacks/", True, id="without the prefix of a mount"),
        pytest.param("/api/callbacks", "/API/Callbacks", True, id="upper case"),
        pytest.param(CALLBACKS, "/sub/api/callbacks/7", True, id="prefix, with a parameter"),
        pytest.param(CALLBACKS, "/callbacks/7", True, id="without the prefix, with a parameter"),
        pytest.param(CALLBACKS, "/7", False, id="the parameter alone"),
        pytest.param("/api/callbacks", "/api/callbacks/7", True, id="a parameter too few"),
        pytest.param(CALLBACKS, "/api/callbacks", True, id="a parameter too many"),
        pytest.param("/c/{id:int}", "/c", True, id="a number too many"),
        pytest.param("/api/callbacks", "/api/callbacks/7/notes", False, id="two segments behind"),
        pytest.param("/api/callbacks", "/sub/api/callbacks/7", False, id="prefix, and a parameter too few"),
        pytest.param("/{id}", "/7/notes", False, id="no word in common"),
        pytest.param("/", "/7", False, id="anything would be behind the root"),
        pytest.param("/r/{rest:path}", "/sub/r/a", False, id="anything would be below that"),
        pytest.param("/api/callbacks", "/orders", False, id="foreign path"),
        pytest.param("/api/callbacks", "/", False, id="root"),
    ],
)
def test_a_path_is_near_where_a_person_may_have_meant_the_template(template: str, path: str, near: bool) -> None:
    """The usual mistakes: a mount's prefix or the last parameter too many or too few, and upper case."""
    assert GuardedPaths([template]).is_near(path) is near


@pytest.mark.parametrize(
    ("template", "remedy"),
    [
        pytest.param("/c/<id>", "write {name}", id="Flask"),
        pytest.param("/c/<int:id>", "write {name}", id="Django"),
        pytest.param("/c/:id", "write {name}", id="Express"),
        pytest.param("/c/*", "{rest:path}", id="wildcard"),
        pytest.param("/c/{*rest}", "{rest:path}", id="Azure Functions"),
        pytest.param("/c/{id", "a brace that is no parameter's", id="open brace"),
        pytest.param("/c/{}", "a brace that is no parameter's", id="no name"),
        pytest.param("/c/{a-b}", "a brace that is no parameter's", id="no identifier"),
        pytest.param(r"/c/{id:\d+}", "a regular expression", id="aiohttp"),
        pytest.param("^/c$", "a regular expression", id="re_path"),
        pytest.param("/c/{id:decimal}", "known are float, int, path, str, uuid", id="convertor that nobody knows"),
        pytest.param("/c/{id}/{id}", "names a parameter twice", id="the same name twice"),
        pytest.param("https://a.example/c", "write its path alone", id="URL"),
        pytest.param("c", "write '/c'", id="no slash"),
        pytest.param("", "write '/'", id="empty"),
        pytest.param("/c/[id]", "write {name}", id="Next.js"),
        pytest.param("/c/$id", "write {name}", id="shell"),
        pytest.param("/c/%s", "write {name}", id="printf"),
        pytest.param("/c/%7Bid%7D", "write {name}", id="encoded braces"),
        pytest.param("/c%", "two hex digits", id="half a percent-encoding"),
        pytest.param("/c%zz", "two hex digits", id="no percent-encoding"),
        pytest.param("/c\u200b", "leave it out", id="zero-width space"),
        pytest.param("/c?x=1", "leave it out", id="query"),
        pytest.param("/c#x", "leave it out", id="fragment"),
        pytest.param("/c\n", "leave it out", id="line feed"),
        pytest.param("/c ", "leave it out", id="space at the end"),
        pytest.param("/a/../c", "write it resolved", id="dot segment"),
        pytest.param("/a//c", "write one slash", id="empty segment"),
        pytest.param(7, "is no text", id="number"),
    ],
)
def test_a_template_that_no_request_fits_is_refused_with_the_remedy(template: str, remedy: str) -> None:
    """At start-up, not by silence for ever after."""
    with pytest.raises(ConfigurationError) as refused:
        GuardedPaths([template])
    assert remedy in str(refused.value)
    assert repr(template) in str(refused.value)


@pytest.mark.parametrize("path", [None, 5, b"/c", {"/c"}])
def test_what_is_no_text_and_no_list_is_refused(path: Any) -> None:
    """`None` is what an environment variable gives that is not set."""
    with pytest.raises(ConfigurationError, match="is no text and no list of texts"):
        GuardedPaths(path)


def test_no_template_guards_nothing() -> None:
    """An empty list is a setting that was not read."""
    with pytest.raises(ConfigurationError, match="path names no path"):
        GuardedPaths([])


@given(st.sampled_from(["/api/callbacks", "/a b/c", "/é/c", "/c+d"]))
def test_a_template_may_be_encoded(path: str) -> None:
    """As it stands in the URL that Microsoft was given."""
    assert GuardedPaths([quote(path)]).fit(path) in ("exact", "spelled")
