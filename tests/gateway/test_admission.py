from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from core.messages.failures import Failure, Kind
from gateway.admission import Admission, TokenBucket


def test_requests_in_flight_are_bounded():
    admission = Admission(Clock(), max_in_flight=2, rates={})
    admission.enter("crm")
    admission.enter("crm")
    with pytest.raises(Failure) as refused:
        admission.enter("crm")
    assert refused.value.kind is Kind.BUSY
    admission.leave()
    admission.enter("crm")


def test_a_party_over_its_rate_is_busy_and_others_do_not_notice():
    clock = Clock()
    admission = Admission(clock, max_in_flight=1000, rates={"shop": 50})
    for _ in range(50):
        admission.enter("shop")
    with pytest.raises(Failure) as refused:
        admission.enter("shop")
    assert refused.value.kind is Kind.BUSY
    assert admission.in_flight == 50
    admission.enter("crm")
    clock.advance(0.02)
    admission.enter("shop")


def test_nothing_new_while_draining():
    admission = Admission(Clock(), max_in_flight=10, rates={})
    admission.draining = True
    with pytest.raises(Failure) as refused:
        admission.enter("crm")
    assert refused.value.kind is Kind.BUSY


@given(rate=st.floats(0.5, 100), gaps=st.lists(st.floats(0, 2), max_size=200))
def test_no_pattern_of_arrivals_gets_more_than_rate_times_time_and_a_burst(rate, gaps):
    clock = Clock()
    bucket = TokenBucket(clock, rate)
    passed = 0
    for gap in gaps:
        clock.advance(gap)
        passed += bucket.take()
    assert passed <= max(rate, 1) + clock.seconds() * rate + 1e-6
