"""The two sides of a dialect, whatever it is: a command language or records. Who speaks a dialect takes its codec from here."""

from __future__ import annotations

from protocols.mml import Dialect, MmlClientCodec, MmlServerCodec
from protocols.records import RecordClientCodec, RecordServerCodec

ServerCodec = MmlServerCodec | RecordServerCodec
ClientCodec = MmlClientCodec | RecordClientCodec


def server_codec(dialect: Dialect) -> ServerCodec:
    """The side that takes commands and answers them."""
    return MmlServerCodec(dialect) if dialect.record is None else RecordServerCodec(dialect)


def client_codec(dialect: Dialect) -> ClientCodec:
    """The side that gives commands and reads answers."""
    return MmlClientCodec(dialect) if dialect.record is None else RecordClientCodec(dialect)
