"""WS-Addressing 1.0 as far as a request and its answer need it: MessageID, Action, ReplyTo, FaultTo, RelatesTo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape

from protocols.soap.faults import MALFORMED, SoapError
from protocols.soap.names import NAMESPACE, SERVICE

WSA: Final = "http://www.w3.org/2005/08/addressing"
UNDERSTOOD: Final = frozenset(f"{{{WSA}}}{name}" for name in ("MessageID", "Action", "To", "ReplyTo", "FaultTo", "From", "RelatesTo"))
ANONYMOUS: Final = WSA + "/anonymous"
NONE: Final = WSA + "/none"
_FAULT_ACTION = WSA + "/soap/fault"


@dataclass(frozen=True, slots=True)
class Addressing:
    """What a request says of itself and of its answer. `reply_to` and `fault_to` are None where the answer goes back on the same
    connection; `NONE` where nobody wants it; else an address.
    """

    message_id: str | None
    action: str | None
    reply_to: str | None
    fault_to: str | None

    def headers(self, operation: str | None) -> bytes:
        """The header blocks of the answer to `operation`, or of a fault without one. The same request gets the same MessageID, so
        that an answer sent again is the same bytes.
        """
        action = f"{NAMESPACE}:{SERVICE}:{operation}Response" if operation else _FAULT_ACTION
        relates = own = ""
        if self.message_id is not None:
            relates = f"<a:RelatesTo>{escape(self.message_id)}</a:RelatesTo>"
            own = f"<a:MessageID>urn:uuid:{uuid5(NAMESPACE_URL, action + ' ' + self.message_id)}</a:MessageID>"
        return f'<a:Action xmlns:a="{WSA}">{action}</a:Action>{_bound(own)}{_bound(relates)}'.encode()


def _bound(element: str) -> str:
    return element.replace(">", f' xmlns:a="{WSA}">', 1)


def read_addressing(headers: Mapping[str, Any]) -> Addressing | None:
    """Read the headers of a request; None when there are none. Raises SoapError when one cannot be used."""
    if not headers.keys() & UNDERSTOOD:
        return None
    message_id, action = (_text(headers.get(f"{{{WSA}}}{name}")) for name in ("MessageID", "Action"))
    reply_to = _address(headers.get(f"{{{WSA}}}ReplyTo"))
    fault_to = _address(headers.get(f"{{{WSA}}}FaultTo")) if f"{{{WSA}}}FaultTo" in headers else reply_to
    if (reply_to or fault_to) and message_id is None:
        raise SoapError(MALFORMED, "an answer sent elsewhere needs a MessageID to relate to")
    return Addressing(message_id, action, reply_to, fault_to)


def _text(block: Any) -> str | None:
    text = (block.text or "").strip() if block is not None else ""
    return text or None


def _address(block: Any) -> str | None:
    if block is None:
        return None
    addresses = block.findall(f"{{{WSA}}}Address")
    if len(addresses) != 1 or not addresses[0].text:
        raise SoapError(MALFORMED, "an endpoint holds exactly one Address")
    address = str(addresses[0].text).strip()
    return None if address == ANONYMOUS else address
