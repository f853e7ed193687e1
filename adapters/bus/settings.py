"""What uip.yaml may say of the bus between processes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from adapters.amqp.settings import BrokerSettings, ShortName
from config.settings import Seconds


class BusSettings(BrokerSettings):
    """The bus's queues are called `<prefix>.<address>...`; `<prefix>.dead` has what cannot be delivered.

    Each address has `partitions` queues: so many processes can share its work. All processes of a site must say the same.
    `prefetch` bounds the messages of one queue in one process. Messages not taken are tried again after `retry_delay`
    seconds, doubled each time up to `retry_longest_delay`; `attempts` ends that where no reason was given.
    """

    prefix: ShortName = "uip.bus"
    partitions: Annotated[int, Field(ge=1, le=64)] = 4
    prefetch: Annotated[int, Field(ge=1, le=10_000)] = 128
    retry_delay: Seconds = 0.2
    retry_longest_delay: Seconds = 60
    attempts: Annotated[int, Field(ge=1, le=1_000)] = 10
    start_timeout: Seconds = 10
    watch: Seconds = 30
