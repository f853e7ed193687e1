"""MML: man-machine language of network elements, in the dialects their files declare."""

from protocols.mml.codec import HEARTBEAT, MmlClientCodec, MmlServerCodec
from protocols.mml.dialect import Dialect, DialectError
from protocols.mml.messages import (
    Acknowledgement,
    Alarm,
    Command,
    Heartbeat,
    ListValue,
    Malformed,
    Nested,
    Prompt,
    Range,
    Report,
)
from protocols.mml.parts import Joiner, parted

__all__ = ["HEARTBEAT", "Acknowledgement", "Alarm", "Command", "Dialect", "DialectError", "Heartbeat", "Joiner", "ListValue", "Malformed",
           "MmlClientCodec", "MmlServerCodec", "Nested", "Prompt", "Range", "Report", "parted"]
