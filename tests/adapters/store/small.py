"""A core as small as can be that does everything a core may do, and a connector's side for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Column, ForeignKey, MetaData, String, Table, func, insert, select

from core.ids import new_id
from core.messages.base import BusinessObject, Event
from core.messages.envelope import Envelope
from core.messages.failures import Failure, Fault, Kind
from core.unit_of_work import ANSWER_LATER, Core

metadata = MetaData()
thing = Table("thing", metadata, Column("id", String, primary_key=True), Column("name", String, unique=True))
part = Table("part", metadata, Column("id", String, primary_key=True), Column("thing", ForeignKey(thing.c.id), nullable=False))
_count = select(func.count().label("number")).select_from(thing)


class Put(BusinessObject):
    id: str
    name: str
    how: str = "insert"


class Look(BusinessObject):
    pass


class Things(BusinessObject):
    number: int


class Ask(BusinessObject):
    question: str


class Question(BusinessObject):
    text: str


class Answer(BusinessObject):
    text: str


class Wake(BusinessObject):
    id: str
    due: datetime


class Ring(BusinessObject):
    id: str


class Happened(Event):
    id: str


MODELS = {m.__name__: m for m in (Put, Look, Things, Ask, Question, Answer, Wake, Ring, Happened, Fault)}


def put(e, uow):
    body = e.body
    match body.how:
        case "execute":
            uow.execute(insert(thing).values(id=body.id, name=body.name))
        case "count":
            uow.insert(thing, id=body.id, name=body.name)
            return Things(number=uow.execute(_count).scalar())
        case "first":
            uow.insert(thing, id=body.id, name=body.name)
            return Things(number=uow.first(_count, {}).number)
        case "break":
            uow.execute(insert(thing).values(id=body.id, name=body.name))
            raise RuntimeError("secret body text")
        case "refuse":
            uow.insert(thing, id=body.id, name=body.name)
            uow.execute(insert(thing).values(id=body.id + "x", name=body.name + "x"))
            raise Failure(Kind.STATE, "not now")
        case _:
            uow.insert(thing, id=body.id, name=body.name)
    uow.insert(part, id=body.id + "/1", thing=body.id)
    uow.publish(Happened(id=body.id), key=body.id)
    return Things(number=1)


def look(e, uow):
    return Things(number=uow.execute(_count).scalar())


def ask(e, uow):
    question = uow.send("connector.oracle", Question(text=e.body.question), key="oracle", reply_to="small")
    uow.insert(thing, id=question, name=e.message_id)
    return ANSWER_LATER


def answered(e, uow):
    request = uow.execute(select(thing.c.name).where(thing.c.id == e.causation_id)).scalar()
    uow.answer(request, e.body if e.type == "Answer" else Failure.of(e.body))


def wake(e, uow):
    uow.at(e.body.due, e.body.id, "small", Ring(id=e.body.id), key=e.body.id)
    return Things(number=0)


def ring(e, uow):
    uow.insert(thing, id="rung " + e.body.id, name="rung " + e.message_id)


SMALL = Core("small", {"Put": put, "Look": look, "Ask": ask, "Answer": answered, "Fault": answered, "Wake": wake, "Ring": ring},
             metadata)


def message(body, now, *, key=None, party="crm", name=None, causation=None, reply_to=None, lane="", attempt=0):
    name = name or new_id()
    return Envelope(body=body, message_id=name, correlation_id=name, occurred_at=now, idempotency_key=key, party=party,
                    causation_id=causation, reply_to=reply_to, key=lane, attempt=attempt)


HOUR = timedelta(hours=1)
