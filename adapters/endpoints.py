"""Sockets, the same for every transport: bound or connected, with TLS where it is asked for, and without Nagle's delay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocolFactory

from config.settings import Tls


def listen(reactor: Any, site: Path, host: str, port: int, factory: IProtocolFactory, tls: Tls | None = None) -> Any:
    """Bind and return Twisted's listening port. Raises OSError (CannotListenError is one) or ssl.SSL.Error."""
    if tls is None:
        return reactor.listenTCP(port, factory, interface=host, backlog=1024)
    if tls.certificate is None or tls.key is None:
        raise ValueError("a listener with TLS needs certificate and key")
    own = ssl.PrivateCertificate.loadPEM((site / tls.key).read_bytes() + b"\n" + (site / tls.certificate).read_bytes())
    trusted = [ssl.Certificate.loadPEM((site / tls.authority).read_bytes())] if tls.authority else []
    return reactor.listenSSL(port, factory, own.options(*trusted), interface=host, backlog=1024)


def address_of(port: Any) -> str:
    """Return `host:port` of a listening port."""
    host = port.getHost()
    return f"{host.host}:{host.port}"


def client_endpoint(reactor: Any, site: Path, host: str, port: int, tls: Tls | None = None, *,
                    timeout: float = 10.0) -> Any:
    """Make the endpoint that connects to a peer. `timeout` is in seconds."""
    plain: Any = HostnameEndpoint(reactor, host, port, timeout=timeout)
    if tls is None:
        return plain
    trust = ssl.Certificate.loadPEM((site / tls.authority).read_bytes()) if tls.authority else None
    own = None
    if tls.certificate is not None and tls.key is not None:
        own = ssl.PrivateCertificate.loadPEM((site / tls.key).read_bytes() + b"\n" + (site / tls.certificate).read_bytes())
    return wrapClientTLS(ssl.optionsForClientTLS(host, trustRoot=trust, clientCertificate=own), plain)


def closed(port: Any) -> Deferred[None]:
    """Stop listening; fires when the socket is closed."""
    return maybeDeferred(port.stopListening)
