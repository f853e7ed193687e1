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
from core.messages.envelope import answer_id

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_PAGE = 500
_FIRST = 30_000
_LONGEST = 86_400_000
"""Milliseconds until a message is looked after: at first, then twice its age, a day at the most. A receiver may be away for long,
and each time the message goes again, a copy more waits for it.
"""

_due = select(outbox.c.id, outbox.c.address, outbox.c.envelope).where(
    outbox.c.state == "sent", outbox.c.node == bindparam("of"), outbox.c.not_before <= bindparam("now")).order_by(
    outbox.c.id).limit(_PAGE)
_taken = select(inbox.c.address, inbox.c.message_id).where(inbox.c.message_id.in_(bindparam("ids", expanding=True)))
_again = update(outbox).values(state="pending", not_before=0, handed=True)


class Claims:
    """Looks after the messages of this process's node that are for `cores` or ask for an answer.

    `run` carries a function out on the database. `again` is told when there is something to relay again: it is handed to this node as
    others hand things over.
    """

    def __init__(self, *, reactor: Any, utcnow: Callable[[], datetime], node: Membership, cores: Collection[str],
                 run: Callable[[Callable[[Connection], Any]], Deferred[Any]], again: Callable[[], None]) -> None:
        self._utcnow = utcnow
        self._node = node
        self._cores = frozenset(cores)
        self._run = run
        self._again = again
        self._looking = LoopingCall(self.look)
        self._looking.clock = reactor

    def start(self) -> None:
        """Begin to look."""
        self._looking.start(_LOOK_SECONDS, now=False).addErrback(
            lambda failure: _log.error("what a broker has is not looked after any more", exc_info=failure.value))

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def kept(self, sent: Outgoing) -> Row | None:
        """Return how a message that the broker has taken is kept; None when nothing would show that it was taken."""
        if sent.to not in self._cores and sent.envelope.reply_to is None:
            return None
        now = milliseconds(self._utcnow())
        return {"row": sent.id, "new_not_before": now + min(max(_FIRST, 2 * (now - sent.created)), _LONGEST)}

    async def look(self) -> None:
        """Let go of what was taken, and send again what was not. Errors of the database are logged: the next look may find it again."""
        seen = _PAGE
        while seen == _PAGE:
            try:
                seen, lost = await self._run(self._settle)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again
                _log.error("what a broker has could not be looked after: %s", type(error).__name__)  # a trace would show statements
                return
            if lost:
                _log.warning("%d messages that the broker had have not been taken: they go again", lost)
                self._again()

    def _settle(self, connection: Connection) -> tuple[int, int]:
        """Look at the next page; returns how many there were, and how many of them go again."""
        rows = connection.execute(_due, {"of": self._node.id, "now": milliseconds(self._utcnow())}).all()
        if not rows:
            return 0, 0
        traces = {row.id: self._trace(row) for row in rows}
        taken = {(row.address, row.message_id) for row in connection.execute(_taken, {"ids": [name for _, name in traces.values()]})}
        gone = [row.id for row in rows if traces[row.id] in taken]
        lost = [row.id for row in rows if traces[row.id] not in taken]
        for change, ids in ((delete(outbox), gone), (_again, lost)):
            if ids:
                connection.execute(change.where(outbox.c.id.in_(ids), outbox.c.node == self._node.id))
        return len(rows), len(lost)

    def _trace(self, row: Any) -> tuple[str, str]:
        """Return whose inbox has what when the message has been taken. An event has one id at all its receivers."""
        head = orjson.loads(row.envelope)["head"]
        return (row.address, head["messageId"]) if row.address in self._cores else (head["replyTo"], answer_id(head["messageId"]))
