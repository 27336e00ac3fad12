"""ringback worker: what it works on, how it ends, and what it refuses."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ringback import Pace, classify_event
from ringback.cli import _worker, main
from ringback.cli._store import store_name
from ringback.core.events import Event, EventData, Result
from ringback.stores.sqlite import SQLiteStore
from ringback.work.items import Item, Kind
from ringback.work.pace import UNPACED

if TYPE_CHECKING:
    from ringback.work.items import Work

LEG = "1f0e5c1a-0000-4000-8000-00000000000{}"

JOBS = """
import asyncio
import os
import signal
import threading
from pathlib import Path
from ringback import HookPolicy, OutcomeRouter
from ringback.stores import MemoryStore
from ringback.hooks.router import HandlerRouter
from ringback.stores.sqlite import SQLiteStore

handlers = HandlerRouter()


def made(**settings):
    made = OutcomeRouter(hooks=HookPolicy(concurrency=3), **settings)
    made.include(handlers)
    return made


router = made()
unnamed = OutcomeRouter()
unnamed.on_retryable(lambda outcome: None)
empty = OutcomeRouter()
text = "no router"


@handlers.on_retryable
async def again(outcome):
    Path("called").write_text(outcome.call_connection_id)
    os.kill(os.getpid(), signal.SIGTERM)


@handlers.on(code=603)
def stuck(outcome):
    os.kill(os.getpid(), signal.SIGINT)
    release.wait()


@handlers.on(code=404)
async def stuck_elsewhere(outcome):
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.to_thread(release.wait)


release = threading.Event()


class parts:
    ours = router


def make():
    return router


def of_file():
    return made(store=SQLiteStore("own.db"))


def of_url():
    return made(store="sqlite:///own.db")


def of_memory():
    return made(store=MemoryStore())


def broken():
    raise KeyError("CONFIG")


def text_of():
    return "no router"


async def later():
    return router
"""


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the module jobs, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("RINGBACK_STORE", raising=False)
    monkeypatch.delitem(sys.modules, "jobs", raising=False)
    (tmp_path / "jobs.py").write_text(JOBS, "utf-8")
    (tmp_path / "faulty.py").write_text("x = 1\nraise ValueError('no\\nsetting')\n", "utf-8")
    (tmp_path / "needy.py").write_text("import no_such_client\n", "utf-8")
    (tmp_path / "refused.py").write_text("from ringback import RedialPolicy\n\nRedialPolicy(max_attempts=0)\n", "utf-8")
    (tmp_path / "worded.py").write_text(
        "from ringback import Catalog\n\nCatalog.default().with_overrides({'x': 1})\n", "utf-8"
    )
    return tmp_path


def put(file: Path | str, code: int = 486, subcode: int = 560486, leg: int = 1) -> None:
    """Put one outcome that is due."""
    data = EventData(call_connection_id=LEG.format(leg), result_information=Result(code, subcode))
    outcome = classify_event(Event(type="Microsoft.Communication.CallDisconnected", data=data))
    assert outcome is not None

    async def putting() -> None:
        store = SQLiteStore(file)
        await store.put([Item(outcome.outcome_id, Kind.OUTCOME, 0.0, outcome)])
        await store.close()

    asyncio.run(putting())


def states(file: str) -> dict[str, int]:
    async def asked() -> dict[str, int]:
        store = SQLiteStore(file)
        found = await store.stats()
        await store.close()
        return {"ready": found.ready, "running": found.running, "done": found.done}

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("target", "options", "file", "concurrency"),
    [
        ("jobs:router", ["--store", "sqlite:///given.db"], "given.db", 3),
        ("jobs:parts.ours", ["--store", "sqlite:///given.db", "--concurrency", "2"], "given.db", 2),
        ("jobs:of_file", [], "own.db", 3),
        ("jobs:of_url", [], "own.db", 3),
    ],
    ids=["a router", "a dotted attribute", "the router's own store", "the router's own URL"],
)
def test_it_works_until_it_is_told_to_end(
    capsys: pytest.CaptureFixture[str], app: Path, target: str, options: list[str], file: str, concurrency: int
) -> None:
    """What waits is done; SIGTERM drains, and the exit code is 0. Standard error says where it worked."""
    put(file)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert main(["worker", target, *options]) == 0
    assert (app / "called").read_text() == LEG.format(1)
    assert states(file) == {"ready": 0, "running": 0, "done": 1}
    assert capsys.readouterr().err.splitlines() == [
        f"ringback worker: works on {app / file}, {concurrency} hooks at a time; Ctrl-C or SIGTERM ends it",
        "ringback worker: SIGTERM: hooks get 20 s to finish; a second signal ends it at once",
    ]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_the_environment_names_the_store_before_the_router(
    capsys: pytest.CaptureFixture[str], app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image serves several environments: RINGBACK_STORE outranks what the code says."""
    monkeypatch.setenv("RINGBACK_STORE", "sqlite:///environment.db")
    put("environment.db")
    assert main(["worker", "jobs:of_url"]) == 0
    assert f"works on {app / 'environment.db'}," in capsys.readouterr().err


def test_the_worker_keeps_the_pace_of_the_router(app: Path) -> None:
    """A pace holds over all processes, so a worker beside the app may place redials no faster."""
    paces: list[Pace] = []

    class Paced(SQLiteStore):
        async def run(self, work: Work, concurrency: int, pace: Pace = UNPACED) -> None:
            paces.append(pace)
            os.kill(os.getpid(), signal.SIGTERM)
            await super().run(work, concurrency, pace)

    sys.path.insert(0, str(app))
    import jobs  # type: ignore[import-not-found]

    jobs.router = jobs.made(store=Paced("paced.db"), pace=Pace(per_second=2.0, in_progress=4))
    assert main(["worker", "jobs:router"]) == 0
    assert paces == [Pace(per_second=2.0, in_progress=4)]


@pytest.mark.parametrize(
    ("options", "seconds"), [([], "2.5"), (["--drain", "1.5"], "1.5")], ids=["the router's", "the command's"]
)
def test_hooks_have_the_time_that_the_router_says(
    capsys: pytest.CaptureFixture[str], app: Path, options: list[str], seconds: str
) -> None:
    """As in the app's own process, unless the command says another time."""
    sys.path.insert(0, str(app))
    import jobs  # type: ignore[import-not-found]

    jobs.router = jobs.made(store="sqlite:///own.db", drain=2.5)
    threading.Timer(0.25, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert main(["worker", "jobs:router", *options]) == 0
    assert f"SIGTERM: hooks get {seconds} s to finish" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Where a worker writes until it has said what it works on, and is interrupted."""

    def write(self, text: str) -> int:
        if "works on" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def test_a_file_that_is_new_is_named_as_such(monkeypatch: pytest.MonkeyPatch, app: Path) -> None:
    """A worker on another file than the app's would wait for ever: its first line shows it."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["worker", "jobs:router", "--store", "sqlite:///new.db", "--drain", "1.5"]) == 0
    assert f"works on {app / 'new.db'}, which is new, 3 hooks" in terminal.getvalue()


def arguments(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"store": "sqlite:///given.db", "concurrency": None, "drain": 0.0} | given)


@pytest.mark.parametrize(
    ("code", "left", "said"),
    [
        (603, [], "SIGINT: hooks get 0 s to finish; a second signal ends it at once"),
        (
            404,
            [0],
            "threads of hooks that did not end: 1; they end with the process, and the next worker has the hooks",
        ),
    ],
    ids=["sync", "async"],
)
def test_a_hook_that_never_returns_does_not_keep_the_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int, left: list[int], said: str
) -> None:
    """Its outcome goes back to the store, and the process leaves without waiting for the thread."""
    monkeypatch.setattr(_worker, "_GRACE", 0.05)
    put("given.db", code, 0)
    statuses: list[int] = []

    def leave(status: int) -> None:
        statuses.append(status)
        # What ends with the process in earnest must end for the test.
        sys.modules["jobs"].release.set()

    assert _worker.work(arguments(router="jobs:router"), leave) == 0
    sys.modules["jobs"].release.set()
    assert statuses == left
    assert states("given.db") == {"ready": 1, "running": 0, "done": 0}
    assert capsys.readouterr().err.splitlines()[-1] == f"ringback worker: {said}"


@pytest.mark.parametrize(
    ("came", "status"),
    [
        ([signal.SIGTERM], []),
        ([signal.SIGTERM, signal.SIGTERM], [143]),
        ([signal.SIGTERM, signal.SIGINT], [130]),
    ],
    ids=["one", "two", "another"],
)
def test_a_second_signal_leaves_at_once(came: list[signal.Signals], status: list[int]) -> None:
    """The first one stops, the second one ends the process with its own number."""
    stopped: list[str] = []
    left: list[int] = []
    with _worker._signals(stopped.append, left.append):
        for each in came:
            os.kill(os.getpid(), each)
    assert stopped == ["SIGTERM"]
    assert left == status


def test_a_signal_ends_a_start_that_takes_long(capsys: pytest.CaptureFixture[str], app: Path) -> None:
    """A database that does not answer must not keep the worker from ending."""

    class Slow(SQLiteStore):
        async def open(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    sys.path.insert(0, str(app))
    import jobs  # type: ignore[import-not-found]

    jobs.router = jobs.made(store=Slow("slow.db"))
    assert main(["worker", "jobs:router"]) == 0
    assert capsys.readouterr().err == (
        "ringback worker: SIGTERM: hooks get 20 s to finish; a second signal ends it at once\n"
    )


def test_a_store_that_cannot_work_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, for what is wrong is not the command."""
    Path("text.db").write_text("no database at all, but longer than a header of SQLite\n" * 20, "utf-8")
    assert main(["worker", "jobs:router", "--store", "sqlite:///text.db"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ringback worker: text.db: ")
    assert captured.err.count("\n") == 1


NO_STORE = "pass --store 'sqlite:///ringback.db' or 'postgresql://...', or set RINGBACK_STORE"
NO_ROUTER = "name an OutcomeRouter, or a function that returns one"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("jobs", "router 'jobs' is no name of one; write module:attribute as for a server, such as 'app:router'"),
        ("jobs.py:a b", "router 'jobs.py:a b' is no name of one; write module:attribute as for a server, such as "),
        ("jobs:nope", "router 'jobs:nope': 'nope' is not in the module jobs; name an OutcomeRouter of the module"),
        ("jobs:text", f"router 'jobs:text' is a str, no router; {NO_ROUTER}"),
        ("jobs:text_of", "router 'jobs:text_of' returned a str, no router; let it return an OutcomeRouter"),
        ("jobs:later", "router 'jobs:later' returned the coroutine later, no router; let it return an OutcomeRouter"),
        (
            "jobs:broken",
            "router 'jobs:broken' is the function broken, which cannot be called without arguments for a router "
            "(KeyError: 'CONFIG', {app}/jobs.py, line {line}); " + NO_ROUTER,
        ),
        ("jobs:again", "router 'jobs:again' is the function again, which cannot be called without arguments"),
        ("jobs:empty", "router 'jobs:empty' has no handlers, so every outcome would be done with nothing done; "),
        (
            "nowhere:router",
            "router 'nowhere:router': module 'nowhere' cannot be imported (ModuleNotFoundError: No module named "
            "'nowhere'); name a module that is installed or in {app}",
        ),
        (
            "nowhere.jobs:router",
            "router 'nowhere.jobs:router': module 'nowhere.jobs' cannot be imported (ModuleNotFoundError: No module "
            "named 'nowhere'); name a module that is installed or in {app}",
        ),
        (
            "needy:router",
            "router 'needy:router': module 'needy' cannot be imported (ModuleNotFoundError: No module named "
            "'no_such_client', {app}/needy.py, line 1); mend it, or set what it needs",
        ),
        (
            "faulty:router",
            "router 'faulty:router': module 'faulty' cannot be imported (ValueError: no setting, {app}/faulty.py, "
            "line 2); mend it, or set what it needs",
        ),
        (
            "refused:router",
            "router 'refused:router': module 'refused' cannot be imported (ConfigurationError: redial: max_attempts 0 "
            "is no number of calls; write a whole number from 1, {app}/refused.py, line 3); "
            "mend it, or set what it needs",
        ),
        (
            "worded:router",
            "router 'worded:router': module 'worded' cannot be imported (CatalogError: overrides: unknown table 'x'; "
            "write each row as a block [[entry]], {app}/worded.py, line 3); "
            "mend it, or set what it needs",
        ),
        ("jobs:router", f"no store is named; {NO_STORE}"),
        ("jobs:of_memory", f"store MemoryStore is in memory, where no other process finds anything; {NO_STORE}"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_worked_on_is_refused(
    capsys: pytest.CaptureFixture[str], app: Path, target: str, message: str
) -> None:
    """Exit code 2 and one line with the value, the rule and the remedy."""
    assert main(["worker", target]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line = JOBS.splitlines().index('    raise KeyError("CONFIG")') + 1
    expected = message.replace("{app}", str(app)).replace("{line}", str(line))
    assert captured.err.startswith(f"ringback worker: {expected}")
    assert captured.err.count("\n") == 1


def test_hooks_that_a_store_could_mix_up_are_refused(capsys: pytest.CaptureFixture[str], app: Path) -> None:
    """The app may have no store of its own, and so have been content with any names."""
    assert main(["worker", "jobs:unnamed", "--store", f"sqlite:///{app}/ringback.db"]) == 2
    assert capsys.readouterr().err == (
        "ringback worker: handler jobs.<lambda> has no name of its own, by which a store could know it after a "
        "restart; give it one: name='...'\n"
    )


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--concurrency", "0", "'0' is no number of things; write a whole number from 1"),
        ("--concurrency", "many", "'many' is no number of things; write a whole number from 1"),
        ("--drain", "-1", "'-1' is no number of seconds; write for example 20"),
        ("--drain", "nan", "'nan' is no number of seconds; write for example 20"),
    ],
)
def test_numbers_that_are_none_are_refused(
    capsys: pytest.CaptureFixture[str], option: str, value: str, rule: str
) -> None:
    """Before anything is imported or opened."""
    assert main(["worker", "jobs:router", option, value]) == 2
    assert capsys.readouterr().err == f"ringback worker: argument {option}: {rule}; see ringback worker --help\n"


def test_no_password_is_shown() -> None:
    """The line says which database, and not how to get in."""

    class Database:
        durable = True

    assert store_name(Database(), "postgresql://u:secret@db:5433/calls?x=1") == "postgresql://db:5433/calls"  # type: ignore[arg-type]
    assert store_name(Database(), None) == "Database"  # type: ignore[arg-type]


def test_a_killed_worker_leaves_its_work_to_the_next(app: Path) -> None:
    """The whole command: SIGKILL within a hook, and another process calls it again."""
    (app / "slow.py").write_text(
        "import asyncio\nfrom pathlib import Path\nfrom ringback import OutcomeRouter\n\nrouter = OutcomeRouter()\n\n\n"
        "@router.on_retryable\nasync def again(outcome, ctx):\n"
        "    print(ctx.attempt, ctx.redelivered, flush=True)\n"
        "    await asyncio.sleep(0 if ctx.redelivered else 60)\n    print('done', flush=True)\n",
        "utf-8",
    )
    put("killed.db")
    command = [sys.executable, "-m", "ringback", "worker", "slow:router", "--store"]
    command += ["sqlite:///killed.db?lease=0.4&poll=0.1"]
    told: list[str] = []
    for end in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(command, cwd=app, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if end is signal.SIGKILL:
                # The first attempt says that the call has ended, and no later one does.
                assert '"event":"call.ended"' in process.stdout.readline()
            told.append(process.stdout.readline().strip())
            if end is signal.SIGTERM:
                told.append(process.stdout.readline().strip())
            process.send_signal(end)
            process.communicate(timeout=30)
        told.append(str(process.returncode))
    assert told == ["1 False", "-9", "2 True", "done", "0"]
