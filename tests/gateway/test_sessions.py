from __future__ import annotations

from itertools import count

import pytest
from twisted.internet.task import Clock

from core.messages.failures import Failure, Kind
from gateway.sessions import Sessions


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    numbers = count()
    return Sessions(clock, {"crm": "crm-secret"}, new_id=lambda: f"S{next(numbers)}", max_sessions=2, login_timeout=10,
                    idle_timeout=60, max_login_tries=3)


def test_a_right_secret_binds_the_party(sessions):
    session = sessions.open("mml", "peer", lambda reason: None)
    sessions.log_in(session, "crm", lambda secret: secret == "crm-secret")
    assert session.party == "crm"


@pytest.mark.parametrize(("name", "secret"), [("crm", "wrong"), ("nobody", "crm-secret"), ("nobody", "\0 no party has this secret")])
def test_a_wrong_name_or_secret_is_refused_with_one_and_the_same_message(sessions, name, secret):
    session = sessions.open("mml", "peer", lambda reason: None)
    with pytest.raises(Failure) as refused:
        sessions.log_in(session, name, lambda real: real == secret)
    assert (refused.value.kind, refused.value.message) == (Kind.AUTHENTICATION, "wrong name or password")
    assert session.party is None


def test_a_failed_login_takes_an_earlier_party_away(sessions):
    session = sessions.open("mml", "peer", lambda reason: None)
    sessions.log_in(session, "crm", lambda secret: True)
    with pytest.raises(Failure):
        sessions.log_in(session, "crm", lambda secret: False)
    assert session.party is None


def test_the_third_failed_login_closes_the_session(sessions):
    closed = []
    session = sessions.open("mml", "peer", closed.append)
    for _ in range(3):
        assert not closed
        with pytest.raises(Failure):
            sessions.log_in(session, "crm", lambda secret: False)
    assert closed == ["3 failed logins"]


def test_sessions_are_bounded_and_a_closed_one_makes_room(sessions):
    first = sessions.open("mml", "a", lambda reason: None)
    sessions.open("mml", "b", lambda reason: None)
    with pytest.raises(Failure) as refused:
        sessions.open("mml", "c", lambda reason: None)
    assert refused.value.kind is Kind.BUSY
    sessions.close(first)
    sessions.close(first)
    sessions.open("mml", "c", lambda reason: None)


def test_a_peer_that_does_not_log_in_is_closed_and_one_that_did_is_not(sessions, clock):
    closed = []
    sessions.open("mml", "nameless", lambda reason: closed.append(("nameless", reason)))
    named = sessions.open("mml", "named", lambda reason: closed.append(("named", reason)))
    sessions.log_in(named, "crm", lambda secret: True)
    clock.advance(10)
    sessions.sweep()
    assert closed == []
    clock.advance(0.1)
    sessions.sweep()
    sessions.sweep()
    assert closed == [("nameless", "not logged in in time")]


def test_idle_means_no_request_in_flight(sessions, clock):
    closed = []
    session = sessions.open("mml", "peer", closed.append)
    sessions.log_in(session, "crm", lambda secret: True)
    session.in_flight = 1
    clock.advance(61)
    sessions.sweep()
    assert closed == []
    session.in_flight = 0
    sessions.sweep()
    assert closed == ["idle"]
