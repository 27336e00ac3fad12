"""What every test starts with."""

import gc
import importlib.util
import itertools
import logging
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from ports import free_ports
from ringback.logs import _sinks

HERE = Path(__file__).parent

# What a property draws: a few inputs, the same in each run; in `make fuzz` a thousand, and others each time.
settings.register_profile("tests", deadline=None, max_examples=100, derandomize=True, database=None)
settings.register_profile("fuzz", deadline=None, max_examples=int(os.environ.get("RINGBACK_PROPERTY_EXAMPLES", "1000")))
settings.load_profile("tests")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores: the tests wait half of their time, for a timer, a server, a process or a browser."""
    return (os.cpu_count() or 1) * 5 // 2


def _traced_by_coverage() -> Any:
    """Coverage's tracer if it follows this thread, or None. A debugger traces as well, and goes on."""
    tracer = sys.gettrace()
    return tracer if type(tracer).__module__.partition(".")[0] == "coverage" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Coverage follows the first process alone, for each collects the same, which takes twice as long with it.

    What is collected is a million objects and no garbage.
    """
    tracer = _traced_by_coverage() if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0" else None
    if tracer is not None:
        sys.settrace(None)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        if tracer is not None:
            sys.settrace(tracer)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each process begins with its share of what takes longest, so that none is left with all of it in the end.

    pytest-xdist gives each process a run of the list; whoever has done all of it takes from the others' ends.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    longest = [item for item in items if "crash" in item.path.parts]
    others = [item for item in items if "crash" not in item.path.parts]
    ends = [len(others) * each // workers for each in range(workers + 1)]
    items[:] = [
        item
        for nth, (start, end) in enumerate(itertools.pairwise(ends))
        for item in (*longest[nth::workers], *others[start:end])
    ]


def pytest_collection_finish() -> None:
    """What was collected stays until the end. The collector need not walk it with every test, nor need whoever asks the
    collector for routers, as :func:`ringback.testing.capture_outcomes` does.
    """
    gc.collect()
    gc.freeze()


_TRACER = pytest.StashKey[Any]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Coverage follows tests and their fixtures, and not what pytest does in between: that takes three times as long
    with it.
    """
    tracer = _traced_by_coverage()
    if tracer is None:
        return (yield)
    item.stash[_TRACER] = tracer
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.hookimpl(wrapper=True, trylast=True)
def _followed(item: pytest.Item) -> Generator[None, object, object]:
    if (tracer := item.stash.get(_TRACER, None)) is None:
        return (yield)
    sys.settrace(tracer)
    try:
        return (yield)
    finally:
        sys.settrace(None)


pytest_runtest_setup = pytest_runtest_teardown = _followed


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Not where thousands of inputs are drawn, which takes three times as long, too.

    A line that such a test draws has a test of its own that draws it, too, or coverage says that it has none.
    """
    if any(item.get_closest_marker(each) for each in ("hypothesis", "untraced")):
        return (yield)
    return (yield from _followed(item))


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """``free_port()`` gives a port for a server that insists on a number. Each worker of pytest-xdist has its own."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    return free_ports(int(worker.removeprefix("gw")), int(workers))


@pytest.fixture(scope="session")
def folder_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest-xdist share; each has its own in it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


class _Everything(set[str]):
    def __contains__(self, _: object) -> bool:
        return True


# Whether logs.unheard has been said in a process must not depend on the tests before; those about it say it.
_sinks._advised = _Everything()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What one test configures or captures is no other's business.

    A configuration of logging that one test makes may disable every logger there is, uvicorn's among them.
    """
    logging.getLogger("ringback")
    known = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    before = [(logger, logger.disabled, logger.propagate, logger.level) for logger in known]
    yield
    structlog.reset_defaults()
    for logger, disabled, propagate, level in before:
        logger.disabled, logger.propagate = disabled, propagate
        if logger.level != level:
            logger.setLevel(level)


@pytest.fixture
def azure_monitor() -> Iterator[Any]:
    """A running :class:`AzureMonitor` of tests/azure_monitor.py."""
    found = importlib.util.spec_from_file_location("ringback_test_azure_monitor", HERE / "azure_monitor.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    with module.serving() as monitor:
        yield monitor
