"""Records over a stream: delimited text, fixed widths, JSON, XML, as their dialect files declare them (`framing: records`)."""

from protocols.records.client import RecordClientCodec
from protocols.records.server import RecordServerCodec

__all__ = ["RecordClientCodec", "RecordServerCodec"]
