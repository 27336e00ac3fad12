"""One attempt at a redial: calls the app's redial function so that repeated attempts place one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ringback.exceptions import StoreError
from ringback.hooks.attempt import HOPELESS, UNMEASURED, described
from ringback.hooks.bulkhead import Caller
from ringback.hooks.contacts import allowed_from, contact_again, zone_of
from ringback.hooks.placing import Doubt, Place, Placed, answer_of
from ringback.hooks.planning import LeaseLost
from ringback.hooks.request_errors import not_placed, retry_after, status_of
from ringback.hooks.signatures import takes
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallState
from ringback.work.items import Progress, Settlement, State
from ringback.work.policy import HookContext, Retry
from ringback.work.redial import REQUEST_ID, Exhausted, Planned, Skipped, repeatability
from ringback_catalog import Cause, RetryClass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from ringback.hooks.placing import Answer
    from ringback.hooks.registration import RedialRegistration
    from ringback.work.contact_call import PastCall
    from ringback.work.items import Claim, Item

_TRIES = "placing"


class RedialCaller(Caller):
    """Calls the redial function of a claim, as the redial policy and the hook policy say."""

    async def attempt(self, claim: Claim) -> Settlement:
        """The settlement of the claim. Raises :class:`StoreError` for a fault of the store, and :class:`LeaseLost`."""
        return self.bulkhead.settled(claim, await self._attempt(claim))

    async def _attempt(self, claim: Claim) -> Settlement:
        item, progress = claim.item, claim.progress
        redial = next((redial for redial in self.router.redials if redial.name == item.target), None)
        if redial is None or item.contact is None:
            error = LookupError(f"no redial {item.target} is registered in this worker")
            self.observer.hook_failed(item.outcome, str(item.target), error, progress.tries.get(_TRIES, 0) + 1, None)
            await self.call_error_handlers(item.outcome, error, final=True)
            call = CallState.CANCELED if progress.first_sent is None else CallState.UNKNOWN
            return Settlement(State.DEAD, progress, reason=described(error), call=call)
        tries = progress.tries.get(_TRIES, 0) + 1
        was_alone, progress = progress.alone, replace(progress, alone=False)
        if claim.crashed:
            progress = replace(progress, tries={_TRIES: tries})
            # Another item may have caused the death, so that the redial is tried by itself before it is given up.
            if tries >= self.policy.attempts * (1 if was_alone else HOPELESS):
                died = RuntimeError(f"the worker died while this function ran, in attempt {tries}")
                return await self._failed(claim, redial, progress, died, tries)
            tries += 1
        try:
            contact = await contact_again(redial, item.outcome, item.contact, self.policy.timeout)
            zone = await zone_of(redial, item.outcome, self.policy.timeout)
            allowed = await allowed_from(redial, contact, self.clock(), zone, self.policy.timeout)
        except Exception as error:
            return await self._failed(claim, redial, progress, error, tries)
        # The clock is read after the app's answers, which may take as long as hooks do.
        first_sent = self.clock() if progress.first_sent is None else progress.first_sent
        sending = replace(progress, first_sent=first_sent, alone=claim.crashed)
        try:
            answer = await self.store.change(
                item.contact, lambda known: self._asked(known, claim, redial, zone, allowed, sending)
            )
        except StoreError:
            raise
        except Exception as error:
            # A time zone of the app's own class may tell no time.
            return await self._failed(claim, redial, progress, error, tries)
        if answer is None:
            raise LeaseLost
        if isinstance(answer, Planned):
            self.observer.redial_put_off(item.outcome, answer.at, item.number)
            return Settlement(State.READY, progress, due_at=answer.at)
        if isinstance(answer, Exhausted):
            self.observer.redial_exhausted(item.outcome, answer.limit)
            return Settlement(State.DONE, progress, reason=answer.limit)
        if isinstance(answer, Skipped):
            self.observer.redial_skipped(item.outcome, answer.reason)
            return Settlement(State.DONE, progress, reason=answer.reason)
        if isinstance(answer, Doubt):
            return await self._unknown(claim, RuntimeError(answer.reason), answer.reason)
        if isinstance(answer, Placed):
            self.observer.redial_placed(item.outcome, item.number, answer.leg)
            return Settlement(State.DONE, progress, call=CallState.PLACED, leg=answer.leg)
        return await self._place(claim, redial, contact, answer.history, replace(sending, alone=False))

    def _asked(
        self,
        known: Contact,
        claim: Claim,
        redial: RedialRegistration,
        zone: tzinfo,
        allowed: float | str,
        sending: Progress,
    ) -> Step[Answer]:
        """Whether the redial is placed, put off, or not placed at all, after what is known of the contact by now."""
        item, now = claim.item, self.clock()
        known = self.overheard.added(item.contact or "", known)
        answer = answer_of(known, claim, redial.policy, zone, allowed, now)
        if isinstance(answer, Place):
            told = takes(redial.function, "operation_context")
            context = _headers(item, sending)[REQUEST_ID] if told else None
            # The store writes the progress before the first request, so that a request after a crash has the same time.
            assert sending.first_sent is not None
            # A repeated request is the call of the first one, and events may have told of that call meanwhile.
            after = known.redial(item.key, CallState.PLACING, sending.first_sent, context=context)
            progress = sending
        elif isinstance(answer, Planned):
            after, progress = known.redial(item.key, CallState.PLANNED, answer.at), claim.progress
        elif isinstance(answer, Exhausted | Skipped):
            after, progress = known.redial(item.key, CallState.CANCELED, now), claim.progress
            limit = answer.limit if isinstance(answer, Exhausted) else "may_call" if answer.reason is allowed else None
            after = after if limit is None else after.given_up(item.key, limit)
        else:
            after, progress = known, claim.progress
        # A worker that has lost the claim must not change what another worker has noted.
        return Step(after, answer, checkpoint=(item.key, progress))

    async def _place(
        self, claim: Claim, redial: RedialRegistration, contact: str, history: tuple[PastCall, ...], progress: Progress
    ) -> Settlement:
        item, attempt = claim.item, progress.tries.get(_TRIES, 0) + 1
        headers = _headers(item, progress)
        again = claim.redelivered or redial.name in progress.overran
        offered: Mapping[str, object] = {
            "outcome": item.outcome,
            "attempt": item.number,
            "headers": headers,
            "contact": contact,
            "history": history,
            "operation_context": headers[REQUEST_ID],
            "ctx": HookContext(
                hook=redial.name, idempotency_key=headers[REQUEST_ID], attempt=attempt, redelivered=again
            ),
        }
        taken = {name: value for name, value in offered.items() if name in redial.parameters}
        try:
            with UNMEASURED if self.gauge is None else self.gauge.redial(item.outcome, redial.name, attempt):
                placed = await self.bulkhead.call(
                    item.outcome, redial.name, redial.function, (), taken, claim, self._placed
                )
        except Exception as error:
            return await self._failed(claim, redial, progress, error, attempt)
        return self._placed(claim, redial.name, progress, placed)

    def _placed(self, claim: Claim, _: str, progress: Progress, placed: object) -> Settlement:
        item = claim.item
        leg = _leg_of(placed)
        self.observer.redial_placed(item.outcome, item.number, leg)
        return Settlement(State.DONE, progress, call=CallState.PLACED, leg=leg)

    async def _unknown(self, claim: Claim, error: Exception, reason: str) -> Settlement:
        """Counts the call as placed. If the call was placed, its own events report its end."""
        outcome = claim.item.outcome
        self.observer.redial_unknown(outcome, claim.item.number, reason)
        await self.call_error_handlers(outcome, error, final=True)
        return Settlement(State.DONE, claim.progress, reason=reason, call=CallState.UNKNOWN)

    async def _failed(
        self, claim: Claim, redial: RedialRegistration, progress: Progress, error: Exception, attempt: int
    ) -> Settlement:
        known = "headers" in redial.parameters and progress.first_sent is not None
        request = _headers(claim.item, progress)[REQUEST_ID] if known else None
        status = status_of(error, request)
        if status == 412:
            return await self._unknown(claim, error, "the service no longer knows the request (412)")
        outcome = claim.item.outcome
        overran = self.bulkhead.overran(claim, redial.name, progress.overran)
        progress = replace(progress, tries={_TRIES: attempt}, overran=overran)
        # A later error says nothing of what an earlier request has done.
        unplaced = claim.progress.first_sent is None and (progress.first_sent is None or not_placed(error, request))
        if unplaced and progress.first_sent is not None:
            # No call was placed, so the next request, also after a replay, is a new one with an id of its own.
            progress = replace(progress, first_sent=None, generation=progress.generation + 1)
        retry_in = self.policy.retry_in(attempt, error, self.random)
        if retry_in is not None and not isinstance(error, Retry):
            advised = retry_after(error, self.clock())
            if status == 429 and advised:
                # The service counts the requests of the resource, so the calls to all other contacts wait as well.
                await self.store.pause_redials(self.clock() + advised)
                self.observer.redials_paused(outcome, advised)
            cause = Cause.THROTTLED if status == 429 else Cause.SERVICE_ERROR
            usual = redial.policy.delay(cause, RetryClass.LATER, attempt - 1)
            retry_in = advised if advised is not None else usual * (1 + redial.policy.jitter * self.random())
        self.observer.hook_failed(outcome, redial.name, error, attempt, retry_in)
        final = retry_in is None
        await self.call_error_handlers(outcome, error, final=final)
        if retry_in is None:
            state = CallState.CANCELED if unplaced else CallState.UNKNOWN
            return Settlement(State.DEAD, progress, reason=f"{redial.name}: {described(error)}", call=state)
        call = CallState.PLANNED if unplaced else None
        return Settlement(State.READY, progress, due_at=self.clock() + retry_in, call=call)


def _headers(item: Item, progress: Progress) -> Mapping[str, str]:
    assert progress.first_sent is not None
    return repeatability(item.key, progress.generation, progress.first_sent)


def _leg_of(placed: object) -> str | None:
    """The call connection id that the redial function returned, as text or as an attribute; ``None`` without one."""
    leg: object = placed
    if not isinstance(placed, str):
        try:
            leg = getattr(placed, "call_connection_id", None)
        except Exception:
            # The call was placed, even if the returned object cannot be read.
            leg = None
    return leg if isinstance(leg, str) and leg else None
