"""Sockets, the same for every transport: bound or connected, with TLS where it is asked for, and without Nagle's delay."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import ssl, tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory

from adapters.crowd import CrowdedPort, counts
from config.documents import Unusable
from config.settings import Tls

INHERITED = "UIP_SOCKETS"
"""The environment variable by which a process is told of listening sockets it was started with: JSON, `host:port` to descriptor."""


_REFUSED = {errno.EADDRINUSE: ("port", "in use by another program: end that, or choose another port"),
            errno.EACCES: ("port", "only for privileged programs: choose a port from 1024 on")}
"""Which setting is to blame when an address cannot be bound, and what the address is."""


def listen(reactor: Any, site: Path, host: str, port: int, factory: Any, tls: Tls | None = None) -> Any:
    """Bind and return Twisted's listening port. Raises Unusable when the address cannot be had or TLS's files do not fit.

    Where this process listens at that address already, or was started with a socket that does (INHERITED), they share it:
    who connects while one port takes over from the other is let in by either, and nobody is turned away.
    """
    if tls is not None:
        try:
            options = _server_options(site, tls)
        except Exception as error:  # OpenSSL's errors, Twisted's and those of files have nothing else in common
            raise Unusable(("tls",), "a listener needs certificate and key, PEM files that belong together, and authority, if it is "
                           "given, as another") from error
        factory = TLSMemoryBIOFactory(options, False, factory, reactor)  # noqa: FBT003  # Twisted's: not a client
    shared = next((r for r in reactor.getReaders() if isinstance(r, tcp.Port) and r.interface == host and r.getHost().port == port), None)
    if shared is not None:
        return _adopted(reactor, shared.fileno(), shared.addressFamily, factory)
    descriptor = json.loads(os.environ.get(INHERITED, "{}")).get(f"{host}:{port}")
    if descriptor is not None:
        return _adopted(reactor, descriptor, family_of(host), factory)
    # Made here and adopted, not by listenTCP: such a port only closes its own handle, which others may share.
    with bound(host, port) as made:
        return reactor.adoptStreamPort(made.fileno(), made.family, factory)


def _adopted(reactor: Any, descriptor: int, family: socket.AddressFamily, factory: Any) -> Any:
    crowd = counts()
    if crowd is None:
        return reactor.adoptStreamPort(descriptor, family, factory)
    return CrowdedPort.adopt(reactor, descriptor, family, factory, crowd)


def bound(host: str, port: int) -> socket.socket:
    """Make a listening socket. Raises Unusable."""
    try:
        made = socket.create_server((host, port), family=family_of(host), backlog=1024)
    except OSError as error:
        key, words = _REFUSED.get(error.errno or 0, ("host", "no address of this machine"))
        raise Unusable((key,), f"{host}:{port} is {words}") from error
    made.setblocking(False)  # noqa: FBT003  # the socket module's own
    return made


def family_of(host: str) -> socket.AddressFamily:
    """Return the address family of an address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _server_options(site: Path, tls: Tls) -> Any:
    if tls.certificate is None or tls.key is None:
        raise ValueError("a listener with TLS needs certificate and key")
    own = ssl.PrivateCertificate.loadPEM((site / tls.key).read_bytes() + b"\n" + (site / tls.certificate).read_bytes())
    trusted = [ssl.Certificate.loadPEM((site / tls.authority).read_bytes())] if tls.authority else []
    return own.options(*trusted)


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
