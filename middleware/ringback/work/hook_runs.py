"""What the attempts at an item came to, by hook, and the marks that stand among the hooks that are done. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.work.call_detail import HookResult, HookRun

if TYPE_CHECKING:
    from ringback.work.items import Progress

EXHAUSTED = "attempts_exhausted"
"""Stands among the hooks that are done if the policy allows no further call, which makes the outcome terminal."""

TOLD_WITHOUT_CONTACT = "told_without_contact"
"""Stands among the hooks that are done if hooks got the outcome although nobody knows whom the call was to reach."""


def hook_runs(progress: Progress) -> tuple[HookRun, ...]:
    """What the attempts at an item came to, by hook. What is no hook is left out: the plans of redials."""
    tries = progress.tries
    returned = (HookRun(hook, HookResult.RETURNED, tries.get(hook, 0) + 1) for hook in progress.done)
    failed = (
        HookRun(hook, HookResult.GIVEN_UP, tries.get(hook, 0) + 1, reason) for hook, reason in progress.failed.items()
    )
    waiting = (
        HookRun(hook, HookResult.WAITING, tries.get(hook, 0), retry_at=at)
        for hook, at in progress.wait.items()
        if hook not in progress.failed
    )
    return tuple(run for runs in (returned, failed, waiting) for run in runs if not _is_mark(run))


def returned_in(progress: Progress) -> tuple[str, ...]:
    """The names of the hooks that have returned."""
    return tuple(run.hook for run in hook_runs(progress) if run.result is HookResult.RETURNED)


def tries_in(progress: Progress) -> int:
    """How often a function was called for an item; of several functions, the one with the most calls counts.

    The claims of an item say something else, because a worker may give an item back without a call. A call that still
    runs counts once it has ended, or once its worker has died.
    """
    runs = hook_runs(progress)
    return max([*progress.tries.values(), *(run.attempts for run in runs)], default=0)


def _is_mark(run: HookRun) -> bool:
    is_plan = run.result is HookResult.RETURNED and run.hook.endswith(" (contact)")
    return is_plan or run.hook in (EXHAUSTED, TOLD_WITHOUT_CONTACT)
