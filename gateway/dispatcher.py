"""From a checked request to the core that answers it: who may ask, how long to wait, and under which ids it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from core.bus import Bus, NoSuchAddress
from core.messages.base import BusinessObject
from core.messages.catalogue import Catalogue, Operation
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from gateway.admission import Admission
from gateway.observability import Observer
from gateway.patience import Patience
from plugins.api import Context, Session

AtHand = Callable[[Envelope[Any]], Awaitable[BusinessObject]]
"""Answers a request in this very process."""


class Dispatcher:
    """Carries requests to cores over the bus; the operations that are `at_hand` are answered in this very process.

    `allowed` maps a party to the operations it may call (`*` for all); `default_deadline` is in seconds.
    """

    def __init__(self, *, reactor: Any, bus: Bus, at_hand: Mapping[str, AtHand], catalogue: Catalogue,
                 admission: Admission, observer: Observer,
                 allowed: Mapping[str, frozenset[str]], default_deadline: float, utcnow: Callable[[], datetime],
                 new_id: Callable[[], str]) -> None:
        self._reactor = reactor
        self._bus = bus
        self._at_hand = at_hand
        self._catalogue = catalogue
        self._admission = admission
        self._observer = observer
        self._allowed = allowed
        self._patience = Patience(reactor, default_deadline)
        self._utcnow = utcnow
        self._new_id = new_id

    async def dispatch(self, session: Session, request: BusinessObject, context: Context) -> BusinessObject:
        """Answer a request, or raise the Failure that says why not; see `plugins.api.Gateway.dispatch`."""
        begun = session.last_activity = self._reactor.seconds()
        message_id = self._new_id()
        correlation_id = context.correlation_id or message_id
        operation_name = type(request).__name__
        try:
            operation = self._catalogue.operation(operation_name)
            self._authorize(session, operation)
            reply = await self._call(session, operation, request, context, message_id, correlation_id)
        except Failure as failure:
            failure.correlation_id = correlation_id
            self._observer.refused(failure, session.protocol, session, operation_name, begun)
            raise
        self._observer.answered(session, operation_name, begun)
        return reply

    def refused(self, failure: Failure, protocol: str, session: Session | None = None, context: Context | None = None) -> None:
        """Note a refusal that has not come as far as `dispatch`; see `plugins.api.Gateway.refused`."""
        if failure.correlation_id is None:
            failure.correlation_id = (context.correlation_id if context is not None else None) or self._new_id()
            self._observer.refused(failure, protocol, session)

    def _authorize(self, session: Session, operation: Operation) -> None:
        if session.party is None:
            raise Failure(Kind.AUTHENTICATION, "log in first")
        allowed = self._allowed.get(session.party, frozenset())
        if operation.name not in allowed and "*" not in allowed:
            raise Failure(Kind.AUTHORIZATION, f"{session.party} may not call {operation.name}")

    async def _call(self, session: Session, operation: Operation, request: BusinessObject, context: Context,
                    message_id: str, correlation_id: str) -> BusinessObject:
        """Wait for the reply, but no longer than there is patience. Neither time nor a vanished asker stops the work itself."""
        now = self._utcnow()
        patience = self._patience
        if context.deadline is not None:
            wait = (context.deadline - now).total_seconds()
            if wait <= 0:
                raise Failure(Kind.TIMEOUT, "the deadline had passed when the request arrived; nothing was done")
            patience = Patience(self._reactor, wait)
        envelope = Envelope(body=request, message_id=message_id, correlation_id=correlation_id, occurred_at=now,
                            idempotency_key=None if operation.query else context.idempotency_key,
                            party=session.party or "", session=session.id, deadline=context.deadline)
        self._admission.enter(envelope.party)
        session.in_flight += 1
        waiting: Deferred[BusinessObject] | None = None
        try:
            at_hand = self._at_hand.get(operation.name)
            answering: Any = self._bus.call(operation.core, envelope) if at_hand is None else at_hand(envelope)
            waiting = ensureDeferred(answering)  # what is a Deferred already stays what it is
            patience.begin(waiting)
            reply = await waiting
        except CancelledError:
            if waiting is None or patience.end(waiting):
                raise  # the asker has gone
            raise Failure(Kind.TIMEOUT, f"no answer by the deadline; the request goes on, its outcome can be read later "
                                        f"(message {message_id})") from None
        except NoSuchAddress:
            raise Failure(Kind.UNAVAILABLE, f"nobody answers {operation.name} at the moment") from None
        finally:
            if waiting is not None:
                patience.end(waiting)
            session.in_flight -= 1
            session.last_activity = self._reactor.seconds()
            self._admission.leave()
        return reply
