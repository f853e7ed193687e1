"""WS-Security UsernameToken (OASIS UsernameToken Profile 1.1): who asks, proved by a password or by a digest of it."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1
from typing import Any, Final

from protocols.soap.envelope import WSU
from protocols.soap.faults import MALFORMED, MUST_UNDERSTAND, SoapError

WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
SECURITY: Final = f"{{{WSSE}}}Security"
_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#"
TEXT: Final = _PROFILE + "PasswordText"
DIGEST: Final = _PROFILE + "PasswordDigest"
_TOKEN, _TIMESTAMP = f"{{{WSSE}}}UsernameToken", f"{{{WSU}}}Timestamp"
_CREATED, _EXPIRES, _NONCE = f"{{{WSU}}}Created", f"{{{WSU}}}Expires", f"{{{WSSE}}}Nonce"


@dataclass(frozen=True, slots=True, repr=False)
class UsernameToken:
    """What the Security header says. With `nonce` the password is a digest; `created` is an instant in UTC."""

    name: str
    password: str
    nonce: bytes | None = None
    created_text: str = ""
    created: datetime | None = None

    def proves(self, secret: str) -> bool:
        """Whether the sender knows `secret`; takes the same time either way."""
        expected = secret if self.nonce is None else digest(self.nonce, self.created_text, secret)
        return hmac.compare_digest(expected.encode(), self.password.encode())


def digest(nonce: bytes, created: str, secret: str) -> str:
    """Password_Digest = Base64(SHA-1(nonce + created + password)). The profile knows no other hash."""
    return b64encode(sha1(nonce + created.encode() + secret.encode(), usedforsecurity=False).digest()).decode()


def username_token(security: Any, now: datetime) -> UsernameToken | None:
    """Read a Security header; None when it holds no token. Raises SoapError: malformed, expired, or more than we can check."""
    tokens = security.findall(_TOKEN)
    stamps = security.findall(_TIMESTAMP)
    if len(tokens) > 1 or len(stamps) > 1:
        raise SoapError(MALFORMED, "the Security header holds a token or a timestamp twice")
    if len(tokens) + len(stamps) != len(security):
        # A signature or an encrypted key that nobody checked must not look checked.
        raise SoapError(MUST_UNDERSTAND, "of WS-Security only UsernameToken and Timestamp are understood here",
                        not_understood=(WSSE, "Security"))
    expires = stamps[0].findtext(_EXPIRES) if stamps else None
    if expires is not None and _instant(expires) <= now:
        raise SoapError(MALFORMED, "the Security header's timestamp has expired")
    return _token(tokens[0]) if tokens else None


def _token(element: Any) -> UsernameToken:
    tags = [child.tag for child in element]
    if len(set(tags)) < len(tags):
        raise SoapError(MALFORMED, "a part of the UsernameToken stands twice")
    name, password = element.findtext(f"{{{WSSE}}}Username"), element.find(f"{{{WSSE}}}Password")
    if not name or password is None:
        raise SoapError(MALFORMED, "a UsernameToken holds Username and Password")
    kind = password.get("Type", TEXT)
    if kind == TEXT:
        return UsernameToken(name.strip(), password.text or "")
    if kind != DIGEST:
        raise SoapError(MALFORMED, "the Password's Type is neither PasswordText nor PasswordDigest")
    nonce, created = element.findtext(_NONCE), element.findtext(_CREATED)
    if not nonce or not created:
        raise SoapError(MALFORMED, "a PasswordDigest needs Nonce and Created")
    try:
        raw = b64decode("".join(nonce.split()), validate=True)
    except (NotBase64, ValueError):
        raise SoapError(MALFORMED, "the Nonce is not base64") from None
    return UsernameToken(name.strip(), (password.text or "").strip(), raw, created, _instant(created))


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SoapError(MALFORMED, "a time in the Security header is not a dateTime") from None
    if instant.tzinfo is None:
        raise SoapError(MALFORMED, "a time in the Security header has no time zone")
    return instant


class Nonces:
    """Remembers the digests that were used, so that none is used twice, for as long as they are fresh.

    A digest is fresh for `window` after and before its Created (clocks differ). When more than `size` are remembered the
    oldest are forgotten, and everything made before the youngest forgotten one is no longer taken for fresh.
    """

    def __init__(self, window: timedelta = timedelta(minutes=5), size: int = 200_000) -> None:
        self._window = window
        self._size = size
        self._used: OrderedDict[tuple[str, bytes], datetime] = OrderedDict()
        self._not_before: datetime | None = None

    def use(self, token: UsernameToken, now: datetime) -> bool:
        """Take note of a proved token; False when it is stale or was used before."""
        if token.nonce is None or token.created is None:
            return True
        if abs(token.created - now) > self._window or (self._not_before is not None and token.created <= self._not_before):
            return False
        key = (token.name, token.nonce)
        if key in self._used:
            return False
        self._used[key] = token.created
        self._forget(now)
        return True

    def _forget(self, now: datetime) -> None:
        while self._used:
            key, created = next(iter(self._used.items()))
            if created >= now - self._window and len(self._used) <= self._size:
                return
            del self._used[key]
            if created >= now - self._window:
                self._not_before = max(created, self._not_before or created)
