"""What the native service is called on the wire.

Apart from its contract, for whoever needs no more than the names does not load spyne.
"""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "urn:uip:1"
SERVICE: Final = "UIP"
