"""Who asks over SOAP: HTTP Basic, a WS-Security UsernameToken, a partner's own words, or the certificate TLS has checked."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from datetime import datetime
from typing import Any

from adapters.soap.http import Connection
from plugins.api import Failure, Gateway, Kind, Session
from protocols.soap.security import Nonces, username_token

PROTOCOL = "soap"
"""What sessions and refusals of every contract are counted under."""
CHALLENGE = b'WWW-Authenticate: Basic realm="uip", charset="UTF-8"\r\n'


class Door:
    """Opens a session for each connection; each request in it proves anew who asks. One door for all contracts of a port, so that
    a digest used for one is used up for all. `now` tells the wall clock's time in UTC; `certificates` maps the common name of
    a peer's certificate to the party it proves.
    """

    def __init__(self, gateway: Gateway, now: Callable[[], datetime], certificates: dict[str, str]) -> None:
        self._gateway = gateway
        self.now = now
        self._certificates = certificates
        self._nonces = Nonces()

    def session(self, connection: Connection) -> Session:
        """The connection's session, with nobody in it yet. Raises Failure(BUSY)."""
        if connection.conversation is None:
            connection.conversation = self._gateway.open_session(PROTOCOL, connection.peer, connection.close)
        session: Session = connection.conversation
        session.party = None
        return session

    def lost(self, connection: Connection) -> None:
        """The peer has gone: its session ends, what it asked for goes on."""
        if connection.conversation is not None:
            self._gateway.close_session(connection.conversation)

    def by_basic(self, session: Session, authorization: bytes) -> None:
        """Log in by the Authorization header. Raises Failure(AUTHENTICATION)."""
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() != b"basic":
            raise Failure(Kind.AUTHENTICATION, "only Basic authentication is known here")
        try:
            name, colon, password = b64decode(credentials.strip(), validate=True).partition(b":")
            if not colon:
                raise Failure(Kind.AUTHENTICATION, "the Authorization header cannot be read")
            self._gateway.log_in(session, name.decode(), lambda secret: hmac.compare_digest(secret.encode(), password))
        except (NotBase64, UnicodeDecodeError):
            raise Failure(Kind.AUTHENTICATION, "the Authorization header cannot be read") from None

    def by_words(self, session: Session, name: str, secret: str) -> None:
        """Log in by a name and a secret that a partner's contract has places for. Raises Failure(AUTHENTICATION)."""
        self._gateway.log_in(session, name, lambda known: hmac.compare_digest(known.encode(), secret.encode()))

    def by_message(self, session: Session, connection: Connection, security: Any | None) -> None:
        """Log in by the Security header, or without one by the certificate. Raises Failure(AUTHENTICATION) and SoapError."""
        now = self.now()
        token = username_token(security, now) if security is not None else None
        if token is not None:
            self._gateway.log_in(session, token.name, token.proves)
            if not self._nonces.use(token, now):
                session.party = None
                raise Failure(Kind.AUTHENTICATION, "the password digest is too old, or was used before")
            return
        party = self._certificates.get(_common_name(connection)) if self._certificates else None
        if party is None:
            raise Failure(Kind.AUTHENTICATION, "log in: HTTP Basic or a WS-Security UsernameToken")
        self._gateway.log_in(session, party, lambda _secret: True)  # TLS has proved it


def _common_name(connection: Connection) -> str:
    certificate = getattr(connection.transport, "getPeerCertificate", lambda: None)()
    return str(certificate.get_subject().CN or "") if certificate is not None else ""
