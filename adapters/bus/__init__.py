"""The bus over RabbitMQ: the same promises as `core.bus.InProcessBus`, between processes."""

from adapters.bus.rabbitmq import RabbitBus
from adapters.bus.settings import BusSettings

__all__ = ["BusSettings", "RabbitBus"]
