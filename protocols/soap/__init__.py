"""SOAP without sockets: the contract, its decoding, its encoding, its faults."""
