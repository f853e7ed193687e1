"""An example plug-in: one transport and two functions. It imports `plugins.api` and nothing else of the gateway."""

from uip_datagrams.transport import adapter

__all__ = ["adapter"]
