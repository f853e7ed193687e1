"""What a broker has taken charge of is kept here too, until its receiver has taken it: a queue can go with what is in it.

That a message was taken shows in the inbox: under its own id where the receiver is a core, under its answer's where it is a
connector. What has left no trace for a while is relayed again. Receivers take each message once, however often it comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from adapters.store.jobs import Outgoing
from adapters.store.nodes import Membership
from adapters.store.tables import Row, inbox, milliseconds, outbox
from core.messages.envelope import Envelope, ModelOf, answer_id

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_PAGE = 500
_FIRST = 30_000
_LONGEST = 86_400_000
"""Milliseconds until a message is looked after: at first, then twice its age, a day at the most. A receiver may be away for long,
and each time the message goes again, a copy more waits for it.
"""

_due = select(outbox.c.id, outbox.c.address, outbox.c.envelope, outbox.c.created, outbox.c.attempts).where(
    outbox.c.state == "sent", outbox.c.node == bindparam("of"), outbox.c.not_before <= bindparam("now")).order_by(
    outbox.c.id).limit(_PAGE)
_taken = select(inbox.c.address, inbox.c.message_id).where(inbox.c.message_id.in_(bindparam("ids", expanding=True)))
_again = update(outbox).values(state="pending", not_before=0)


class Claims:
    """Looks after the messages of this process's node that are for `cores` or ask for an answer.

    `run` carries a function out on the database. `again` is given what is to be relayed again, except while `behind` says that the
    relay takes no more.
    """

    def __init__(self, *, reactor: Any, utcnow: Callable[[], datetime], model_of: ModelOf, node: Membership, cores: Collection[str],
                 run: Callable[[Callable[[Connection], Any]], Deferred[Any]], behind: Callable[[], bool],
                 again: Callable[[list[Outgoing]], None]) -> None:
        self._utcnow = utcnow
        self._model_of = model_of
        self._node = node
        self._cores = frozenset(cores)
        self._run = run
        self._behind = behind
        self._again = again
        self._looking = False
        self._calls = LoopingCall(self.look)
        self._calls.clock = reactor

    def start(self) -> None:
        """Begin to look."""
        self._calls.start(_LOOK_SECONDS, now=False).addErrback(
            lambda failure: _log.error("what a broker has is not looked after any more", exc_info=failure.value))

    def stop(self) -> None:
        """Look no more."""
        if self._calls.running:
            self._calls.stop()

    def kept(self, sent: Outgoing) -> Row | None:
        """Return how a message that the broker has taken is kept; None when nothing would show that it was taken."""
        if sent.to not in self._cores and sent.envelope.reply_to is None:
            return None
        now = milliseconds(self._utcnow())
        return {"row": sent.id, "new_not_before": now + min(max(_FIRST, 2 * (now - sent.created)), _LONGEST)}

    def look(self) -> None:
        """Let go of what was taken, and send again what was not."""
        if not self._looking:
            self._looking = True
            self._run(self._settle).addCallbacks(self._settled, self._failed)

    def _settle(self, connection: Connection) -> tuple[int, list[Outgoing]]:
        if self._behind():
            return 0, []
        rows = connection.execute(_due, {"of": self._node.id, "now": milliseconds(self._utcnow())}).all()
        if not rows:
            return 0, []
        traces = {row.id: self._trace(row) for row in rows}
        taken = {(row.address, row.message_id) for row in connection.execute(_taken, {"ids": [name for _, name in traces.values()]})}
        if gone := [row.id for row in rows if traces[row.id] in taken]:
            connection.execute(delete(outbox).where(outbox.c.id.in_(gone), outbox.c.node == self._node.id))
        lost = [row for row in rows if traces[row.id] not in taken]
        if lost:
            shared = self._node.shared  # then the relay reads it from the table like what others hand over, and counts the try
            connection.execute(_again.where(outbox.c.id.in_([row.id for row in lost]), outbox.c.node == self._node.id).values(
                handed=shared, attempts=outbox.c.attempts + (0 if shared else 1)))
        return len(rows), [Outgoing(row.id, row.address, Envelope.from_json(row.envelope, self._model_of, attempt=row.attempts),
                                    row.created, row.attempts) for row in lost]

    def _trace(self, row: Any) -> tuple[str, str]:
        """Return whose inbox has what when the message has been taken. An event has one id at all its receivers."""
        head = orjson.loads(row.envelope)["head"]
        return (row.address, head["messageId"]) if row.address in self._cores else (head["replyTo"], answer_id(head["messageId"]))

    def _settled(self, found: tuple[int, list[Outgoing]]) -> None:
        self._looking = False
        count, lost = found
        if lost:
            _log.warning("%d messages that the broker had have not been taken: they go again", len(lost))
            self._again(lost)
        if count == _PAGE:
            self.look()

    def _failed(self, failure: Any) -> None:
        self._looking = False
        _log.error("what a broker has could not be looked after: %s", type(failure.value).__name__)  # a trace would show statements
