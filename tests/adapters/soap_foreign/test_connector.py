"""The bureau's connector over loopback: what it understands, and what it says when something goes wrong."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from adapters.drivers import Driver, NotSent, OutcomeUnknown
from core.credit.objects import BureauVerdict
from plugins.api import Failure, Kind, TryAgain
from tests.adapters.soap_foreign.bed import BUREAU, ENVELOPE, REPORT, Peer, connector, http, peer, question, simulated
from tests.end_to_end.running import free_port

LOGIN = {"user": "uip", "secret": "uip-secret"}
ASK = {"command": "GetCreditReport", "fields": {"subject": {"partyId": "C1"}, "exposure": {"_text": "1", "currency": "EUR"}}}


def client(driver: Driver) -> Any:
    return driver._client


def changed(**more: Any) -> dict[str, Any]:
    return {**BUREAU, **more}


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("authentication", ["basic", "text", "digest"])
@pytest.mark.parametrize(("party", "verdict"), [("C1", BureauVerdict.ACCEPT), ("BAD1", BureauVerdict.REFUSE),
                                                ("REF1", BureauVerdict.REFER)])
async def test_a_bureau_answers(authentication: str, party: str, verdict: BureauVerdict) -> None:
    async with simulated(reactor) as (port, _):
        asking = connector(reactor, host="127.0.0.1", port=port, authentication=authentication, **LOGIN)
        report: Any = await asking.perform(question(party))
        assert report.verdict is verdict
        assert report.agency == "Demo Bureau"
        assert report.score is not None
        assert asking.status()["state"] == "up"
        await asking.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("authentication", ["basic", "text", "digest"])
async def test_a_wrong_password_is_a_refusal_for_good(authentication: str) -> None:
    async with simulated(reactor) as (port, _):
        asking = connector(reactor, host="127.0.0.1", port=port, user="uip", secret="wrong", authentication=authentication)
        with pytest.raises(Failure) as caught:
            await asking.perform(question())
        assert caught.value.kind is Kind.STATE
        assert "1102" in caught.value.message
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_a_late_answer_still_comes() -> None:
    async with simulated(reactor, "delay=0.3") as (port, _):
        asking = connector(reactor, host="127.0.0.1", port=port, **LOGIN)
        assert (await asking.perform(question())).verdict is BureauVerdict.ACCEPT  # type: ignore[attr-defined]
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_one_connection_serves_many_requests() -> None:
    async with peer(reactor, lambda p: p.transport.write(http(REPORT))) as (port, seen):
        asking = connector(reactor, host="127.0.0.1", port=port)
        peers = set()
        for _ in range(3):
            await asking.perform(question())
            peers |= {c.transport.getHost().port for c in next(iter(client(asking)._http._pool._connections.values()))}
        assert len(seen) == 3
        assert len(peers) == 1
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_a_fault_carries_the_partners_own_code_and_words() -> None:
    fault = ENVELOPE.format("<soap:Fault><faultcode>soap:Server</faultcode><faultstring>no</faultstring><detail><cb:InquiryFault>"
                            "<cb:code>{}</cb:code><cb:message>said the bureau</cb:message></cb:InquiryFault></detail></soap:Fault>")
    codes = iter(["BUSY", "NO_SUCH_PARTY"])
    async with peer(reactor, lambda p: p.transport.write(http(fault.format(next(codes)), "500 Oops"))) as (port, _):
        asking = connector(reactor, host="127.0.0.1", port=port)
        with pytest.raises(TryAgain, match="BUSY said the bureau"):
            await asking.perform(question())
        with pytest.raises(Failure, match="NO_SUCH_PARTY said the bureau"):
            await asking.perform(question())
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_a_refused_connection_means_not_sent() -> None:
    asking = connector(reactor, host="127.0.0.1", port=free_port())
    with pytest.raises(NotSent):
        await client(asking).request(ASK)
    assert asking.status()["state"] == "down"
    await asking.stop()


@pytest_twisted.ensureDeferred
async def test_the_next_address_is_tried_when_one_cannot_be_reached_and_kept() -> None:
    async with peer(reactor, lambda p: p.transport.write(http(REPORT))) as (port, seen):
        gone = f"http://127.0.0.1:{free_port()}/a"
        asking = connector(reactor, url=[gone, f"http://127.0.0.1:{port}/b"])
        await asking.perform(question())
        assert seen[0].startswith(b"POST /b ")
        assert asking.status()["peer"].endswith("/b")
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_who_no_longer_waits_is_not_asked_for_at_the_next_address() -> None:
    """Given up while the first address was being reached: nothing may be sent to the second."""
    # A TLS handshake that nobody answers keeps the first one busy.
    async with peer(reactor, lambda p: None) as (mute, _), peer(reactor, lambda p: p.transport.write(http(REPORT))) as (port, seen):
        asking = connector(reactor, url=[f"https://127.0.0.1:{mute}/?key=hidden", f"http://127.0.0.1:{port}/"])
        assert "hidden" not in repr(asking.status())
        waiting = Deferred.fromCoroutine(client(asking).request(ASK))
        await deferLater(reactor, 0.05)
        waiting.cancel()
        with pytest.raises(NotSent):
            await waiting
        assert not seen
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_after_a_silent_or_broken_address_the_next_one_is_asked() -> None:
    async with peer(reactor, lambda p: p.transport.write(http(REPORT))) as (good, seen), peer(reactor, lambda p: None) as (mute, _), \
            peer(reactor, lambda p: p.transport.write(http("down", "503 Service Unavailable", "text/plain"))) as (broken, _):
        asking = connector(reactor, {**BUREAU, "timeout": 0.05}, connect_timeout=60, url=[
            f"https://127.0.0.1:{mute}/", f"http://127.0.0.1:{mute}/", f"http://127.0.0.1:{broken}/", f"http://127.0.0.1:{good}/"])
        for _ in range(3):    # no handshake, no answer, another's answer
            with pytest.raises(TryAgain):
                await asking.perform(question())
        await asking.perform(question())
        assert len(seen) == 1
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_an_address_that_may_have_had_the_request_is_not_left_for_the_next() -> None:
    async with peer(reactor, lambda p: p.transport.loseConnection()) as (bad, _), \
            peer(reactor, lambda p: p.transport.write(http(REPORT))) as (good, seen):
        asking = connector(reactor, url=[f"http://127.0.0.1:{bad}/", f"http://127.0.0.1:{good}/"])
        with pytest.raises(OutcomeUnknown, match=r"^Connection was closed cleanly\.$"):
            await client(asking).request(ASK)
        assert not seen
        await asking.stop()


def half(p: Peer) -> None:
    p.transport.write(http(REPORT)[:-40])
    p.transport.loseConnection()


WRONG: dict[str, Callable[[Peer], None]] = {
    "closes at once": lambda p: p.transport.loseConnection(),
    "closes in the reply": half,
    "sends what is no HTTP": lambda p: p.transport.write(b"\x00\xffGARBAGE\r\n\r\n"),
    "sends what is no XML": lambda p: p.transport.write(http("<soap:Envelope")),
    "sends what is no envelope": lambda p: p.transport.write(http("<html/>")),
    "sends another contract's reply": lambda p: p.transport.write(http(ENVELOPE.format("<Other/>"))),
    "sends a DOCTYPE": lambda p: p.transport.write(http('<!DOCTYPE a [<!ENTITY b "c">]>' + REPORT)),
    "sends too much": lambda p: p.transport.write(http(REPORT + " " * 100_000)),
    "sends endless headers": lambda p: p.transport.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000),
    "fails on the way": lambda p: p.transport.write(http("<html>bad gateway</html>", "502 Bad Gateway", "text/html")),
}


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("how", WRONG)
async def test_whatever_goes_wrong_after_the_request_leaves_the_outcome_unknown(how: str) -> None:
    async with peer(reactor, WRONG[how]) as (port, seen):
        asking = connector(reactor, host="127.0.0.1", port=port, max_reply=20_000)
        with pytest.raises(OutcomeUnknown):
            await client(asking).request(ASK)
        assert len(seen) == 1
        await asking.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("status", "code"), [("404 Not Found", "HTTP.404"), ("401 Unauthorized", "HTTP.401"), ("302 Found", "HTTP.302")])
async def test_a_plain_http_refusal_is_a_code(status: str, code: str) -> None:
    async with peer(reactor, lambda p: p.transport.write(http("no", status, "text/plain"))) as (port, _):
        asking = connector(reactor, host="127.0.0.1", port=port)
        assert (await client(asking).request(ASK))["retcode"] == code
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_the_file_may_say_that_a_status_means_later() -> None:
    protocol = changed(results={"classes": {"success": ["0"], "retryable": ["HTTP.503"]}})
    async with peer(reactor, lambda p: p.transport.write(http("", "503 Busy"))) as (port, _):
        asking = connector(reactor, protocol, host="127.0.0.1", port=port)
        with pytest.raises(TryAgain, match=r"HTTP\.503"):
            await asking.perform(question())
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_a_slow_peer_is_given_up_and_its_connection_dropped() -> None:
    gone: list[Any] = []

    def silent(p: Peer) -> None:
        p.connectionLost = gone.append  # type: ignore[method-assign]

    async with peer(reactor, silent) as (port, seen):
        asking = connector(reactor, changed(timeout=0.2), host="127.0.0.1", port=port)
        with pytest.raises(TryAgain):
            await asking.perform(question())
        assert len(seen) == 1
        await deferLater(reactor, 0.05)
        assert gone
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_stopping_ends_what_is_under_way() -> None:
    here: Deferred[None] = Deferred()
    async with peer(reactor, lambda p: here.callback(None)) as (port, _):
        asking = connector(reactor, host="127.0.0.1", port=port)
        waiting = Deferred.fromCoroutine(client(asking).request(ASK))
        await here
        await asking.stop()
        with pytest.raises(OutcomeUnknown):
            await waiting


@pytest_twisted.ensureDeferred
async def test_what_the_contract_cannot_say_is_refused_before_anything_is_sent() -> None:
    async with peer(reactor, lambda p: p.transport.write(http(REPORT))) as (port, seen):
        asking = connector(reactor, host="127.0.0.1", port=port)
        with pytest.raises(Failure, match=r"exposure\.currency is required"):
            await client(asking).request({**ASK, "fields": {"subject": {"partyId": "C1"}, "exposure": {"_text": "1"}}})
        assert not seen
        await asking.stop()


@pytest_twisted.ensureDeferred
async def test_credentials_go_out_but_never_into_the_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.DEBUG):
        async with peer(reactor, lambda p: p.transport.loseConnection()) as (port, seen):
            for authentication in ("basic", "text"):
                asking = connector(reactor, host="127.0.0.1", port=port, authentication=authentication, user="uip", secret="s3cret-word")
                with pytest.raises(OutcomeUnknown):
                    await client(asking).request(ASK)
                assert "s3cret-word" not in repr(asking.status())
                await asking.stop()
    encoded = base64.b64encode(b"uip:s3cret-word")
    assert encoded in seen[0]
    assert b"s3cret-word" in seen[1]
    said = caplog.text + "".join(capsys.readouterr())
    assert "partner does not answer" in said
    assert "s3cret" not in said
    assert encoded.decode() not in said
