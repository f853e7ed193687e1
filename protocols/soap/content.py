"""What HTTP says of a SOAP message: its media type, character set and action (SOAP 1.1 section 6, SOAP 1.2 Part 2 section 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from protocols.soap.faults import MALFORMED, SoapError, Version
from protocols.soap.names import NAMESPACE, SERVICE

SOAP11: Final = "text/xml"
SOAP12: Final = "application/soap+xml"
MULTIPART: Final = "multipart/related"
XOP: Final = "application/xop+xml"
_PARAMETER = re.compile(r";\s*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,40})\s*=\s*(?:\"((?:[^\"\\]|\\.){0,400})\"|([^;\s\"]{0,400}))\s*")


@dataclass(frozen=True)
class ContentType:
    """A Content-Type header taken apart; names and the media type are in small letters."""

    media: str
    parameters: dict[str, str]

    @cached_property
    def version(self) -> Version:
        """The version of SOAP it announces (a multipart says it for its root part)."""
        said = (self.parameters.get("type", ""), self.parameters.get("start-info", "")) if self.media == MULTIPART else (self.media,)
        return Version.V12 if any(SOAP12 in s.lower() for s in said) else Version.V11

    @property
    def charset(self) -> str | None:
        """The character set, if it says one."""
        charset = self.parameters.get("charset")
        return charset.lower() if charset else None

    @property
    def known(self) -> bool:
        """Whether a SOAP message may come under it."""
        return self.media in (SOAP11, SOAP12, MULTIPART)

    @property
    def mtom(self) -> bool:
        """Whether it is a message with attachments as MTOM has them."""
        return self.media == MULTIPART and self.parameters.get("type", "").lower() == XOP


def takes_attachments(content: ContentType, accept: bytes) -> bool:
    """Whether who sent this may be answered with attachments: it sends MTOM itself, or its Accept header asks for it by name."""
    if content.mtom:
        return True
    for part in accept.decode("latin-1").lower().split(","):
        media, _, parameters = part.partition(";")
        if media.strip() in (MULTIPART, XOP) and not re.search(r"(?:^|;)\s*q=0(?:\.0*)?\s*(?:;|$)", parameters):
            return True
    return False


@lru_cache(maxsize=512)
def content_type(header: bytes) -> ContentType:
    """Take a Content-Type header apart; what cannot be read of it is left out."""
    media, semicolon, rest = header.decode("latin-1").partition(";")
    parameters: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(semicolon + rest):
        parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    return ContentType(media.strip().lower(), parameters)


def check_action(said: str | None, operation: str) -> None:
    """Refuse a message whose action names another operation than its body: what filters on the way let through is what is done.

    No action, an empty one, the declared one, and those toolkits make up of namespace and operation are all right.
    """
    action = (said or "").strip().strip('"')
    if not action or action in _actions(operation):
        return
    raise SoapError(MALFORMED, f"the action does not fit the body's {operation}; declared is {NAMESPACE}/{operation}")


@lru_cache(maxsize=512)
def _actions(operation: str) -> frozenset[str]:
    return frozenset({operation, *(f"{NAMESPACE}{mark}{operation}" for mark in ("/", "#", ":", "")),
                      f"{NAMESPACE}:{SERVICE}:{operation}Request", f"{NAMESPACE}/{SERVICE}/{operation}Request"})
