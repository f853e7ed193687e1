"""HTTP as the SOAP port speaks it: what is bounded, who is cut, and that nothing accepted is lost."""

from __future__ import annotations

import re
import socket
import threading
import time

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from adapters.soap.http import Connection, HttpFactory, Response
from tests.adapters.soap.conftest import BASIC
from tests.adapters.soap.standin import Log, StandIn
from tests.protocols.soap.messages import GET, SUBMIT, key, soap


def post(message: str = "", *, more: str = "", length: int | None = None, path: str = "/soap") -> bytes:
    message = message or soap(SUBMIT)
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml; charset=utf-8\r\nAuthorization: {BASIC}\r\n{more}"
            f"Content-Length: {len(message.encode()) if length is None else length}\r\n\r\n{message}").encode()


CLOSE = "Connection: close\r\n"


def statuses(raw: bytes) -> list[int]:
    return [int(s) for s in re.findall(rb"HTTP/1.1 (\d+) [A-Z]", raw)]


@ensureDeferred
async def test_one_connection_many_requests_also_before_the_answers(port):
    raw = await port.raw(b"".join(post(soap(SUBMIT.replace("E-1", f"E-{n}"))) for n in range(50)) + post(more=CLOSE))
    assert statuses(raw) == [200] * 51
    assert [int(n) for n in re.findall(rb"<externalId>E-(\d+)<", raw)][:-1] == list(range(50))
    assert len({id(session) for session, _, _ in port.gateway.calls}) == 1


@ensureDeferred
async def test_chunked_and_in_small_pieces(port):
    message = soap(SUBMIT).encode()
    head = post(more=CLOSE + "Transfer-Encoding: chunked\r\n").partition(b"\r\n\r\n")[0].replace(b"Content-Length", b"X-Length")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(message[i:i + 100]), message[i:i + 100]) for i in range(0, len(message), 100))
    assert statuses(await port.raw(head + b"\r\n\r\n" + chunks + b"0\r\nX-Trailer: y\r\n\r\n")) == [200]
    whole = post(more=CLOSE)
    assert statuses(await port.raw(*(whole[i:i + 7] for i in range(0, len(whole), 7)))) == [200]


class TestBounds:
    @pytest.fixture
    def settings(self):
        return {"max_request": 5_000}

    @ensureDeferred
    async def test_a_large_body_is_refused_before_it_is_sent(self, port):
        raw = await port.raw(post(length=5_001).partition(b"<")[0])
        assert statuses(raw) == [413]
        assert b"Client.Malformed" in raw

    @ensureDeferred
    async def test_a_large_chunked_body_is_refused_on_its_way(self, port):
        head = post(more="Transfer-Encoding: chunked\r\n").partition(b"\r\n\r\n")[0].replace(b"Content-Length", b"X-Length") + b"\r\n\r\n"
        assert statuses(await port.raw(head, *[b"400\r\n" + b"<" * 1024 + b"\r\n"] * 6)) == [413]
        assert statuses(await port.raw(head, *[b"1;" + b"x" * 1000 + b"\r\na\r\n"] * 200)) == [413]

    @ensureDeferred
    async def test_what_waits_before_a_refusal_is_answered_first(self, port):
        raw = await port.raw(post() + post(length=5_001))
        assert statuses(raw) == [200, 413]


@ensureDeferred
@pytest.mark.parametrize(("sent", "status"), [
    (b"\x16\x03\x01 this is TLS", 400), (b"HELO mail\r\n\r\n", 400), (post().replace(b"HTTP/1.1", b"HTTP/9"), 400),
    (post(more="".join(f"X-{n}: y\r\n" for n in range(200))), 431), (post(more=f"X: {'y' * 40_000}\r\n"), 431),
    (post(path="/" + "a" * 40_000), 431), (post(more="Content-Type: text/plain\r\n"), 400), (post(more="Content-Length: 5\r\n"), 400),
    (post(more="Transfer-Encoding: chunked\r\n"), 400), (post(more="Bad Header\r\n"), 400),
    (post(more=CLOSE, path="/else"), 404), (post(more=CLOSE).replace(b"POST", b"PUT "), 405),
    (post(more=CLOSE).replace(b"text/xml", b"text/html"), 415), (post(more=CLOSE).replace(b"Content-Type", b"X-Type"), 415),
])
async def test_what_is_not_our_http(port, sent, status):
    raw = await port.raw(sent)
    assert statuses(raw) == [status]
    assert b"Connection: close" in raw
    assert not port.gateway.calls


@ensureDeferred
async def test_expect_100_continue(port):
    def work():
        with socket.create_connection(("127.0.0.1", port.number), timeout=5) as s:
            head, _, body = post(more="Expect: 100-continue\r\n" + CLOSE).partition(b"\r\n\r\n")
            s.sendall(head + b"\r\n\r\n")
            first = s.recv(1000)
            s.sendall(body)
            return first, s.recv(100_000)
    first, answer = await port.in_thread(work)
    assert first.startswith(b"HTTP/1.1 100 ")
    assert statuses(answer) == [200]


@ensureDeferred
async def test_a_client_that_ends_its_side_still_gets_its_answer(port):
    def work():
        with socket.create_connection(("127.0.0.1", port.number), timeout=5) as s:
            s.sendall(post())
            s.shutdown(socket.SHUT_WR)
            return s.recv(100_000)
    assert statuses(await port.in_thread(work)) == [200]


@ensureDeferred
async def test_a_vanished_client_s_request_is_carried_out_and_its_retry_gets_the_stored_reply(port):
    arrived = threading.Event()
    go_on: Deferred[None] = Deferred()

    async def before(_request):
        port.gateway.before = None
        arrived.set()
        await go_on
    port.gateway.before = before

    def vanish():
        with socket.create_connection(("127.0.0.1", port.number), timeout=5) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # resets the connection
            s.sendall(post(soap(SUBMIT, key("K"))))
            assert arrived.wait(10)
    await port.in_thread(vanish)
    while len(port.gateway.sessions):
        await port.in_thread(time.sleep, 0.005)
    assert not port.gateway.orders
    go_on.callback(None)
    assert list(port.gateway.orders) == ["PO1"]
    answer = await port.ask(soap(SUBMIT, key("K")))
    assert "<id>PO1</id>" in answer.text
    assert len(port.gateway.orders) == 1


@ensureDeferred
async def test_drain_answers_what_has_arrived_and_lets_nobody_in(port):
    go_on: Deferred[None] = Deferred()
    arrived: Deferred[None] = Deferred()

    async def before(_request):
        arrived.callback(None)
        await go_on
    port.gateway.before = before
    answer = port.ask(soap(SUBMIT), Connection="keep-alive")
    await arrived
    number = port.number
    drained = Deferred.fromCoroutine(port.listener.drain())
    assert not drained.called

    def refused() -> bool:
        """The socket is closed in the reactor's next turn, and this thread may be quicker."""
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", number), timeout=5).close()
            except ConnectionRefusedError:
                return True
            time.sleep(0.005)
        return False
    assert await port.in_thread(refused)
    go_on.callback(None)
    answered = await answer
    assert answered.status == 200
    assert answered.headers["connection"] == "close"
    await drained
    assert port.listener.status()["state"] == "draining"


class Slow:
    """A handler that answers when told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred] = []
        self.lost_ones = 0

    def connected(self, connection) -> None:
        pass

    async def answer(self, connection, request):
        waiting: Deferred = Deferred()
        self.asked.append(waiting)
        return await waiting

    def refuse(self, status, reason, head):
        return Response(status, reason.encode())

    def lost(self, connection) -> None:
        self.lost_ones += 1


class Transport(StringTransport):
    aborted = halfClosed = False

    def setTcpNoDelay(self, enabled):
        pass

    def abortConnection(self):
        self.aborted = True

    def loseWriteConnection(self):
        self.disconnecting = self.halfClosed = True


@pytest.fixture
def line():
    clock = Clock()
    factory = HttpFactory(handler=Slow(), reactor=clock, log=Log(), max_request=100_000, max_connections=2, request_timeout=20,
                          idle_timeout=60)
    factory.start()

    def connect() -> Connection:
        connection = factory.buildProtocol(None)
        connection.makeConnection(Transport())
        return connection
    return clock, factory, connect


def pass_time(clock: Clock, seconds: int) -> None:
    clock.pump([1.0] * seconds)


def test_a_slow_sender_is_cut(line):
    clock, _, connect = line
    slow = connect()
    for n in range(25):
        slow.dataReceived(post()[n:n + 1])
        pass_time(clock, 1)
    assert statuses(slow.transport.value()) == [408]
    assert slow.transport.disconnecting
    pass_time(clock, 3)
    assert slow.transport.aborted


def test_the_idle_are_let_go_but_never_while_they_wait(line):
    clock, factory, connect = line
    waiting, idle = connect(), connect()
    waiting.dataReceived(post())
    pass_time(clock, 100)
    assert idle.transport.disconnecting
    assert not waiting.transport.disconnecting
    factory.handler.asked[0].callback(Response(200, b"done"))
    assert statuses(waiting.transport.value()) == [200]
    pass_time(clock, 61)
    assert waiting.transport.disconnecting


def test_a_peer_that_does_not_read_gets_no_more_and_is_cut(line):
    clock, factory, connect = line
    deaf = connect()
    deaf.dataReceived(post() * 3)
    deaf.pauseProducing()
    factory.handler.asked[0].callback(Response(200, b"first"))
    assert len(factory.handler.asked) == 1
    pass_time(clock, 21)
    assert deaf.transport.aborted


def test_a_peer_that_reads_again_is_answered_on(line):
    _, factory, connect = line
    peer = connect()
    peer.dataReceived(post() * 2)
    peer.pauseProducing()
    factory.handler.asked[0].callback(Response(200, b"first"))
    peer.resumeProducing()
    factory.handler.asked[1].callback(Response(200, b"second"))
    assert statuses(peer.transport.value()) == [200, 200]
    assert peer.transport.producerState == "producing"


def test_who_is_shown_out_may_read_the_last_answer(line):
    """A close over bytes that are still coming would destroy it."""
    clock, factory, connect = line
    eager = connect()
    eager.dataReceived(post() * 2)
    eager.close("too many wrong passwords")
    factory.handler.asked[0].callback(Response(200, b"the last"))
    assert statuses(eager.transport.value()) == [200]
    assert eager.transport.halfClosed
    assert eager.transport.producerState == "producing"
    assert len(factory.handler.asked) == 1
    pass_time(clock, 3)
    assert eager.transport.aborted


def test_reading_stops_while_requests_wait(line):
    _, factory, connect = line
    eager = connect()
    eager.dataReceived(post() * 2)
    assert eager.transport.producerState == "paused"
    factory.handler.asked[0].callback(Response(200, b"first"))
    assert eager.transport.producerState == "producing"


def test_too_many_connections_are_told_so(line):
    _, _, connect = line
    first, _second, third = connect(), connect(), connect()
    assert statuses(third.transport.value()) == [503]
    assert not first.transport.value()
    third.connectionLost()
    first.connectionLost()
    assert not connect().transport.value()


def test_a_handler_s_mistake_is_answered_too(line):
    _, factory, connect = line
    peer = connect()
    peer.dataReceived(post())
    factory.handler.asked[0].errback(ZeroDivisionError("inside"))
    assert statuses(peer.transport.value()) == [500]
    assert b"inside" not in peer.transport.value()
    assert factory.busy == 0


def test_an_answer_for_one_who_has_gone_is_dropped(line):
    _, factory, connect = line
    peer = connect()
    peer.dataReceived(post())
    peer.connectionLost()
    factory.handler.asked[0].callback(Response(200, b"late"))
    assert not peer.transport.value()
    assert factory.busy == 0
    assert not factory.connections


@ensureDeferred
async def test_all_sessions_taken_is_busy(port):
    def full(*_):
        from plugins.api import Failure, Kind
        raise Failure(Kind.BUSY, "all sessions are in use")
    port.listener._native._gateway.open_session = full
    answer = await port.ask(soap(GET))
    assert "Server.Busy" in answer.text


def test_the_stand_in_is_a_gateway():
    """It offers what `plugins.api.Gateway` asks for."""
    from plugins.api import Gateway
    assert all(hasattr(StandIn(Clock()), name) for name in vars(Gateway) if not name.startswith("_"))


def test_who_was_let_in_before_the_drain_is_answered(line):
    _, factory, connect = line
    begun, fresh = connect(), connect()
    begun.dataReceived(post()[:20])
    drained = Deferred.fromCoroutine(factory.drain())
    begun.dataReceived(post()[20:])
    fresh.dataReceived(post())
    for asked in factory.handler.asked:
        assert not drained.called
        asked.callback(Response(200, b"done"))
    assert [statuses(each.transport.value()) for each in (begun, fresh)] == [[200], [200]]
    assert begun.transport.disconnecting
    assert fresh.transport.disconnecting
    assert drained.called


def test_a_drain_closes_the_idle_and_does_not_wait_long_for_who_says_nothing(line):
    clock, factory, connect = line
    idle = connect()
    idle.dataReceived(post())
    factory.handler.asked[0].callback(Response(200, b"done"))
    silent = connect()
    drained = Deferred.fromCoroutine(factory.drain())
    assert idle.transport.disconnecting
    assert not drained.called
    pass_time(clock, 2)
    assert silent.transport.disconnecting
    silent.connectionLost()
    assert drained.called
