"""Sockets: bound, shared while one listener takes over from another, with TLS both ways."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone

from adapters.endpoints import client_endpoint, closed, listen
from config.documents import Unusable
from config.settings import Tls

sync = pytest_twisted.ensureDeferred


class Saying(Protocol):
    def __init__(self, text: bytes):
        self.text = text

    def connectionMade(self):
        self.transport.write(self.text)
        self.transport.loseConnection()


class Says(Factory):
    noisy = False

    def __init__(self, text: bytes):
        self.text = text

    def buildProtocol(self, addr):
        return Saying(self.text)


class Hearing(Protocol):
    def __init__(self):
        self.heard = b""
        self.done = Deferred()

    def dataReceived(self, data):
        self.heard += data

    def connectionLost(self, reason=connectionDone):
        self.done.callback(self.heard)


async def hear(endpoint) -> bytes:
    protocol = await endpoint.connect(Factory.forProtocol(Hearing))
    return await protocol.done


@sync
async def test_a_new_listener_takes_over_while_the_old_one_goes(tmp_path):
    old = listen(reactor, tmp_path, "127.0.0.1", 0, Says(b"old"))
    number = old.getHost().port
    endpoint = client_endpoint(reactor, tmp_path, "127.0.0.1", number)
    assert await hear(endpoint) == b"old"
    new = listen(reactor, tmp_path, "127.0.0.1", number, Says(b"new"))
    assert await hear(endpoint) in {b"old", b"new"}
    await closed(old)
    for _ in range(5):
        assert await hear(endpoint) == b"new"
    await closed(new)


def certificate(folder: Path, name: str, signed_by: str | None = None) -> Tls:
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
            f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "keyUsage=critical,digitalSignature,keyCertSign"]  # wanted by the strict check of Python 3.13
    if signed_by:
        make += ["-CA", f"{signed_by}.pem", "-CAkey", f"{signed_by}.key"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True)
    return Tls(certificate=Path(f"{name}.pem"), key=Path(f"{name}.key"), authority=Path(f"{signed_by or name}.pem"))


@sync
async def test_tls_with_certificates_both_ways(tmp_path):
    certificate(tmp_path, "authority")
    certificate(tmp_path, "stranger")
    server = certificate(tmp_path, "server", "authority")
    client = certificate(tmp_path, "client", "authority")
    port = listen(reactor, tmp_path, "127.0.0.1", 0, Says(b"secret"), server)
    number = port.getHost().port
    try:
        assert await hear(client_endpoint(reactor, tmp_path, "127.0.0.1", number, client)) == b"secret"
        without = Tls(authority=Path("authority.pem"))
        assert await hear(client_endpoint(reactor, tmp_path, "127.0.0.1", number, without)) == b""
        wrong = Tls(certificate=Path("stranger.pem"), key=Path("stranger.key"), authority=Path("authority.pem"))
        assert await hear(client_endpoint(reactor, tmp_path, "127.0.0.1", number, wrong)) == b""
        distrusting = Tls(certificate=client.certificate, key=client.key, authority=Path("stranger.pem"))
        assert await hear(client_endpoint(reactor, tmp_path, "127.0.0.1", number, distrusting)) == b""
    finally:
        await closed(port)


def test_tls_without_a_certificate_is_refused(tmp_path):
    with pytest.raises(Unusable, match="certificate and key"):
        listen(reactor, tmp_path, "127.0.0.1", 0, Says(b""), Tls())
