"""The settings of a door: their names, what each of the three doors refuses, and what it says of the others."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

import ringback
from ringback import CallbackHandler, CallOutcomeMiddleware, ConfigurationError, OutcomeRouter
from ringback.settings import ENGINE, Door, DoorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def middleware(**settings: Any) -> object:
    return CallOutcomeMiddleware(print, router=OutcomeRouter(), path="/cb", **settings)  # type: ignore[arg-type]


def handler(**settings: Any) -> object:
    return CallbackHandler(OutcomeRouter(), **settings)


def decorator(**settings: Any) -> object:
    return OutcomeRouter().callback(**settings)


def bare_decorator(**settings: Any) -> object:
    async def endpoint(request: object) -> None: ...

    return OutcomeRouter().callback(endpoint, **settings)


DOORS = pytest.mark.parametrize("made", [middleware, handler, decorator, bare_decorator])


def test_what_a_door_takes_and_what_it_has_are_called_the_same() -> None:
    """One table for type checkers, one with the defaults."""
    assert [*DoorSettings.__annotations__] == [*Door.__dataclass_fields__]
    assert not DoorSettings.__required_keys__


def test_no_setting_is_a_doors_and_the_engines() -> None:
    """Else nobody could say where it goes."""
    assert DoorSettings.__annotations__.keys() & set(ENGINE) == set()


@DOORS
@pytest.mark.parametrize("name", ENGINE)
def test_a_setting_of_the_engine_is_refused_with_its_place(made: Callable[..., object], name: str) -> None:
    """Whatever its value: when the door is made, not with the first call of the night."""
    for value in (None, 0, "memory"):
        with pytest.raises(ConfigurationError) as refused:
            made(**{name: value, "auth": None})
        assert str(refused.value) == (
            f"{name} is a setting of the engine, which all doors of a router share; "
            f"pass it to the router: OutcomeRouter({name}=...)"
        )


@DOORS
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("max_bdoy", "there is no setting 'max_bdoy'; did you mean max_body?"),
        ("aut", "there is no setting 'aut'; did you mean auth?"),
        (
            "colour",
            "there is no setting 'colour'; there are auth, max_body, max_events, max_depth, max_headers, body_timeout",
        ),
    ],
)
def test_a_setting_that_there_is_not_is_refused(made: Callable[..., object], name: str, said: str) -> None:
    """With the one that may have been meant."""
    with pytest.raises(ConfigurationError) as refused:
        made(**{name: 1})
    assert str(refused.value) == said


@pytest.mark.parametrize("made", [handler, decorator, bare_decorator, OutcomeRouter])
def test_a_path_is_the_middlewares_alone(made: Callable[..., object]) -> None:
    """An error that names a place which refuses the setting, too, helps nobody."""
    with pytest.raises(ConfigurationError) as refused:
        made(path="/api/callbacks")
    assert str(refused.value) == (
        "path is a setting of CallOutcomeMiddleware alone; an endpoint and a handler serve their own route"
    )


@DOORS
def test_each_door_takes_each_of_its_settings(made: Callable[..., object]) -> None:
    """By name."""
    made(auth=None, max_body=1, max_events=1, max_depth=None, max_headers=1, body_timeout=0)


@pytest.mark.parametrize(
    ("router", "shown"),
    [
        pytest.param(OutcomeRouter, "<class 'ringback.web.endpoint.OutcomeRouter'>", id="class"),
        pytest.param(lambda: None, None, id="function"),
        pytest.param("router", "'router'", id="text"),
        pytest.param(None, "None", id="None"),
    ],
)
def test_a_door_stands_in_front_of_a_router(router: Any, shown: str | None) -> None:
    """Of nothing else."""
    said = f"router {shown or repr(router)} is no OutcomeRouter; pass router=OutcomeRouter()"
    for made in (
        lambda: CallOutcomeMiddleware(print, router=router, path="/cb"),  # type: ignore[arg-type]
        lambda: CallbackHandler(router),
    ):
        with pytest.raises(ConfigurationError) as refused:
            made()
        assert str(refused.value) == said


def test_a_door_says_what_it_is() -> None:
    """And which router stands behind it, in one line."""
    router = OutcomeRouter(settle=0, store="postgresql://me:hush@host/db")
    doors = [
        CallOutcomeMiddleware(print, router=router, path=["/a", "/b/{id}"], auth=None),  # type: ignore[arg-type]
        CallbackHandler(router, auth=None),
    ]
    behind = "OutcomeRouter(store='postgresql://[secret]@host/db', settle=0)"
    assert [repr(door) for door in doors] == [
        f"CallOutcomeMiddleware(path=['/a', '/b/{{id}}'], router={behind})",
        f"CallbackHandler({behind})",
    ]


# The signatures of what is imported from ringback


def _is_method(member: object) -> bool:
    # CPython 3.13 takes a cached property for a routine.
    return inspect.isroutine(member) and callable(member)


def signatures() -> Iterator[tuple[str, inspect.Signature]]:
    """Of each function, and of each public method of a class, that Ringback itself defines."""
    for name in ringback.__all__:
        offered = getattr(ringback, name)
        if inspect.isroutine(offered):
            yield name, inspect.signature(offered)
        elif inspect.isclass(offered):
            for method, function in inspect.getmembers(offered, _is_method):
                is_ours = str(getattr(function, "__module__", "")).startswith("ringback")
                if is_ours and (method == "__init__" or not method.startswith("_")):
                    yield f"{name}.{method}", inspect.signature(function)


def test_the_signatures_are_found() -> None:
    """A test that looks at nothing would always pass."""
    found = dict(signatures())
    assert {"CallOutcomeMiddleware.__init__", "OutcomeRouter.callback", "OutcomeRouter.on", "classify"} <= found.keys()
    assert len(found) > 60


def test_no_private_name_is_in_a_public_signature() -> None:
    """Whoever reads it, or writes a function that takes the same, needs no name that may change."""
    for name, signature in signatures():
        for parameter in signature.parameters.values():
            assert parameter.name == "_" or not parameter.name.startswith("_"), name
        annotations = [each.annotation for each in signature.parameters.values()] + [signature.return_annotation]
        told = [each for each in annotations if each is not inspect.Signature.empty]
        texts = [each if isinstance(each, str) else inspect.formatannotation(each) for each in told]
        assert [text for text in texts if re.search(r"(?<!\w)_[A-Za-z]\w*", text)] == [], name
