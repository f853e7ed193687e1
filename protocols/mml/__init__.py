"""MML: man-machine language of network elements, in the dialects their files declare."""

from protocols.mml.codec import HEARTBEAT, MmlClientCodec, MmlServerCodec
from protocols.mml.dialect import Dialect, DialectError
from protocols.mml.messages import Command, Heartbeat, Malformed, Report

__all__ = ["HEARTBEAT", "Command", "Dialect", "DialectError", "Heartbeat", "Malformed", "MmlClientCodec", "MmlServerCodec", "Report"]
