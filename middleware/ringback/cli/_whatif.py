"""``ringback whatif``: prints the outcomes of a log or a store that would have had another verdict or redial."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import msgspec

from ringback.cli._changes import Changes, Judgement, Redialing, Result
from ringback.cli._outcomes import catalog_of
from ringback.cli._router import asked
from ringback.cli._screen import many
from ringback.cli._stats import read
from ringback.cli._store import answer_of_store
from ringback.cli._values import count
from ringback.exceptions import ConfigurationError, StoreError
from ringback.work.redial_policy import RedialPolicy
from ringback_catalog import RetryAfter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ringback.core.outcome import Outcome
    from ringback.stores import DeliveryStore

NEWEST = 10_000
"""Calls of a store that ``whatif`` looks at by default."""


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files", metavar="LOGFILE", nargs="+", help="may end in .gz; - is standard input; or a store's URL"
    )
    command.add_argument("--overrides", metavar="FILE", help="the TOML file of your own verdicts to try")
    command.add_argument(
        "--router", metavar="MODULE:ROUTER", help="judge redials by the policy of this router's redial"
    )
    command.add_argument(
        "--delay",
        metavar="CAUSE=SECONDS",
        action="append",
        default=[],
        help="try this delay for outcomes of a cause; may be repeated",
    )
    command.add_argument("--call-back", action="store_true", help="try redials to people who had called")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--max-attempts", metavar="N", type=count, help="try this many calls to a contact")
    command.add_argument(
        "--limit", metavar="N", type=count, default=NEWEST, help="the newest calls of a store; default: 10000"
    )


def whatif(arguments: argparse.Namespace) -> int:
    """Print the changes: a table, or one JSON object. 1 if there is a change, or if a file holds no outcome."""
    catalog, before = catalog_of(arguments.overrides), _before(arguments.router)
    changes = Changes(catalog, before, _after(before, arguments))
    files = [name for name in arguments.files if "://" not in name]
    empty = read(files, changes, "whatif")
    for url in arguments.files:
        if url not in files:
            _count_store(url, arguments, changes)
    if arguments.json:
        print(json.dumps(_as_json(changes), indent=2))
    else:
        print("\n".join(_table(changes)))
    return 1 if changes.verdicts or changes.redials or empty else 0


def _before(router: str | None) -> Redialing:
    """Today's redials: the policy of the router's redial, or the default policy without a router."""
    if router is None:
        return Redialing(RedialPolicy())
    redials = asked(router).redials
    if not redials:
        raise ConfigurationError(f"router {router!r} has no redial; register one, or leave --router out")
    policy = redials[0].policy
    return Redialing(policy, call_back=getattr(policy, "call_back", False))


def _after(before: Redialing, arguments: argparse.Namespace) -> Redialing:
    delays = dict(before.policy.delays)
    for given in arguments.delay:
        cause, _, seconds = given.partition("=")
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", seconds) is None:
            raise ConfigurationError(f"delay {given!r} is no CAUSE=SECONDS; write for example --delay busy=300")
        delays[cause] = float(seconds)
    policy = replace(before.policy, delays=delays)
    if arguments.max_attempts is not None:
        policy = replace(policy, max_attempts=arguments.max_attempts)
    return Redialing(policy, call_back=before.call_back or arguments.call_back)


def _count_store(url: str, arguments: argparse.Namespace, changes: Changes) -> None:
    async def latest(store: DeliveryStore) -> Sequence[Outcome]:
        return [call.outcome for call in await store.history.latest(arguments.limit) if call.outcome is not None]

    arguments.store = url
    try:
        found = answer_of_store(arguments, latest)
    except StoreError as error:
        # The exit code of a StoreError, 1, would say that something would have changed.
        raise ConfigurationError(str(error)) from error
    for outcome in found:
        changes.add_stored(outcome)


def _as_json(changes: Changes) -> dict[str, object]:
    return {
        "lines": changes.lines,
        "outcomes": changes.outcomes,
        "repeated": changes.repeated,
        "undetailed": changes.undetailed,
        "not_read": msgspec.to_builtins(changes.reasons.ranked),
        "other_verdict": changes.verdicts,
        "other_redial": changes.redials,
        "changes": [msgspec.to_builtins(row) for row in changes.rows],
        "not_listed": changes.others,
    }


def _table(changes: Changes) -> Iterator[str]:
    """Three lines for every change: the old judgement, the new judgement, and an example."""
    yield (
        f"{many(changes.outcomes, 'outcome', ',')}: {changes.verdicts:,} would have had another verdict, "
        f"{changes.redials:,} another redial"
    )
    if changes.undetailed:
        yield f"{changes.undetailed:,} in text, which leaves out what the carrier said: not compared"
    yield from (reason.text for reason in changes.reasons.ranked)
    rows = changes.rows
    if not rows:
        return
    wide = max(len("result"), *(len(_result(row.result)) for row in rows))
    verdicts = max(len(_verdict(*pair)) for row in rows for pair in permutations((row.before, row.after)))
    yield ""
    yield f"  {'count':>7}  {'result':<{wide}}     {'verdict':<{verdicts}}  redial"
    for row in rows:
        old, new = row.before, row.after
        yield f"  {row.count:>7,}  {_result(row.result):<{wide}}     {_verdict(old, new):<{verdicts}}  {_redial(old)}"
        yield f"  {'':>7}  {'':<{wide}}  -> {_verdict(new, old):<{verdicts}}  {_redial(new)}"
        yield f"  {'':>7}  such as {row.examples[0]}"
    if changes.others:
        yield f"  {changes.others:>7,}  (others)"


def _result(result: Result) -> str:
    pair = f"{'-' if result.code is None else result.code}/{'-' if result.subcode is None else result.subcode}"
    details = {"SIP": result.sip, "Q.850": result.q850}
    return " ".join([result.event, pair, *(f"{name} {code}" for name, code in details.items() if code is not None)])


def _verdict(judgement: Judgement, other: Judgement) -> str:
    """The words of one judgement. The owner and the category are there only where ``other`` has another."""
    words = [judgement.cause, judgement.retry_class, judgement.retry_action]
    words += [judgement.owner] if judgement.owner != other.owner else []
    words += [judgement.category] if judgement.category != other.category else []
    return " ".join(words)


def _redial(judgement: Judgement) -> str:
    return "none" if judgement.redial_in is None else f"in {RetryAfter(max(1, round(judgement.redial_in)))}"
