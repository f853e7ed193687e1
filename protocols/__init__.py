"""Sans-I/O codecs and declarative message maps: bytes in, messages out. No Twisted, no sockets, no clock."""
