"""A fork copies the locks of its parent and none of the parent's threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from weakref import WeakSet

import pytest

from ringback import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

BEGIN = """
import os, signal, threading
held, over = threading.Event(), threading.Event()
"""
END = """
thread = threading.Thread(target=holds)
thread.start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(10)
    uses()
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
over.set()
thread.join()
raise SystemExit(status)
"""


def ends(program: str) -> int:
    """The exit code of a child, forked while a thread ``holds`` a lock that the child ``uses``."""
    program = BEGIN + program + END
    return subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=30, check=False).returncode


@pytest.mark.parametrize("made", ["lock", "reentrant_lock"])
def test_a_forked_process_finds_a_lock_free_that_a_thread_of_its_parent_holds(made: str) -> None:
    """In the parent the thread goes on holding it."""
    program = f"""
from ringback import forks
lock = forks.{made}()
def holds():
    with lock:
        held.set()
        over.wait()
def uses():
    with lock:
        pass
"""
    assert ends(program) == 0


def test_a_process_that_is_forked_while_a_thread_makes_the_engine_makes_its_own() -> None:
    """As where a server forks while the app of the master process warms up in a thread."""
    program = """
from ringback import OutcomeRouter
from ringback.web import endpoint
router, engine, parent = OutcomeRouter(), endpoint.Engine, os.getpid()
def slow(*given):
    if os.getpid() == parent:
        held.set()
        over.wait()
    return engine(*given)
endpoint.Engine = slow
def holds():
    router.engine
uses = holds
"""
    assert ends(program) == 0


def test_a_lock_that_is_let_go_is_as_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever held it, and however often."""
    monkeypatch.setattr(forks, "_locks", WeakSet())
    locks = [forks.lock(), forks.reentrant_lock()]
    for each in locks:
        holder = threading.Thread(target=each.acquire)
        holder.start()
        holder.join()
    forks._let_go()
    assert [each.acquire(timeout=10) for each in locks] == [True, True]


DELIVERED = """
import asyncio, multiprocessing, os
from ringback import CallbackHandler, OutcomeRouter
from ringback.testing import call_disconnected, delivery
router, parent = OutcomeRouter(settle=60), os.getpid()

@router.on_retryable
async def hook(outcome):
    print("hook", os.getpid() == parent, flush=True)

def forked():
    child = multiprocessing.get_context("fork").Process(target=print, args=("child",), kwargs={"flush": True})
    child.start()
    child.join(10)
    print("ended", child.exitcode, flush=True)
    child.kill()

async def main():
    body = delivery([call_disconnected(486, 560486)])
    await CallbackHandler(router, auth=None).handle(body, {"content-type": "application/json"})
"""


@pytest.mark.parametrize(
    "end", ["    forked()\nasyncio.run(main())", "asyncio.run(main())\nforked()"], ids=["open", "closed"]
)
def test_a_forked_process_calls_no_hooks_for_what_waits_in_its_parent(end: str) -> None:
    """It ends when its own work ends, whether the event loop of its parent runs or is closed."""
    command = [sys.executable, "-W", "ignore", "-c", DELIVERED + end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert (said, done.stderr) == (["child", "ended 0", "hook True"], "")
