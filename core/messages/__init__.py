"""What travels between parties, gateway, cores and connectors: the envelope, the business objects, the failures."""
