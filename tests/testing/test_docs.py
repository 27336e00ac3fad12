"""docs/testing.md as a new user would try it: the app and the tests of the page, in a project of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs/testing.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
FILES = {found[1]: block for block in BLOCKS if (found := re.match(r"# (\w+\.py)\n", block))}


def project(pytester: pytest.Pytester, *names: str) -> None:
    for name in names:
        pytester.path.joinpath(name).write_text(FILES[name], "utf-8")


def run(pytester: pytest.Pytester, mode: str) -> pytest.RunResult:
    settings = [f"asyncio_mode={mode}", "asyncio_default_fixture_loop_scope=function", "pythonpath=."]
    return pytester.runpytest_subprocess("-W", "error", *(part for each in settings for part in ("-o", each)))


@pytest.mark.documentation
def test_every_test_of_the_page_passes(pytester: pytest.Pytester) -> None:
    """In a fresh process, with warnings as errors, with no conftest and the plugin found by its entry point."""
    project(pytester, *FILES)
    result = run(pytester, "auto")
    result.assert_outcomes(passed=4)


@pytest.mark.documentation
def test_every_test_passes_in_every_run_with_a_store_on_a_disk(pytester: pytest.Pytester) -> None:
    """The file has the calls of the run before; the calls of a run are new."""
    project(pytester, *FILES)
    stored = FILES["shop.py"].replace("OutcomeRouter()", 'OutcomeRouter(store="sqlite:///shop.db", settle=0)')
    pytester.path.joinpath("shop.py").write_text(stored, "utf-8")
    for _ in range(2):
        run(pytester, "auto").assert_outcomes(passed=4)
    assert pytester.path.joinpath("shop.db").exists()


@pytest.mark.documentation
@pytest.mark.parametrize("mark", ["asyncio", "anyio"])
def test_the_first_test_runs_with_either_plugin(pytester: pytest.Pytester, mark: str) -> None:
    """The fixtures are no coroutines: whatever runs the test may run them."""
    project(pytester, "shop.py")
    marked = FILES["test_shop.py"].replace("async def", f"@pytest.mark.{mark}\nasync def")
    backend = "\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    pytester.path.joinpath("test_shop.py").write_text(f"import pytest\n{marked}{backend}", "utf-8")
    result = run(pytester, "strict")
    result.assert_outcomes(passed=1)


def test_the_first_test_has_ten_lines_at_most() -> None:
    """Blank lines and the file's name are not counted."""
    for name in ("test_shop.py", "test_shop_sync.py", "test_captured.py"):
        lines = [line for line in FILES[name].splitlines() if line.strip() and not line.startswith("# ")]
        assert len(lines) <= 10, name


def test_the_rest_of_the_page_runs() -> None:
    """Top to bottom in one namespace."""
    names: dict[str, object] = {}
    loose = [block for block in BLOCKS if block not in FILES.values()]
    assert len(loose) == 1
    for block in loose:
        exec(compile(block, str(PAGE), "exec"), names)


def test_the_page_names_what_exists() -> None:
    """Every name in code that looks like one of ours is one."""
    import ringback.testing

    text = PAGE.read_text("utf-8")
    assert len(text.splitlines()) < 170
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)\(", text))
    assert named - {"ringback_client", "grid_token", "wrong_audience", "wrong_issuer"} <= set(ringback.testing.__all__)
