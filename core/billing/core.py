"""The billing core, put together: its handlers by message type, its tables."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from core.billing.bills import Bills
from core.billing.calculation import Calculation
from core.billing.catalog import Tariff
from core.billing.products import Products
from core.billing.runs import BillRuns
from core.billing.tables import metadata
from core.billing.usage import Usages
from core.unit_of_work import Core


def build(tariffs: Mapping[str, Tariff], time_zone: str = "UTC") -> Core:
    """Make the core. `tariffs` are by offering; `time_zone` (an IANA name) says where an account's day and month begin.

    Raises zoneinfo.ZoneInfoNotFoundError for an unknown time zone.
    """
    zone = ZoneInfo(time_zone)
    products, calculation = Products(tariffs, zone), Calculation(tariffs, zone)
    bills, runs = Bills(calculation), BillRuns(calculation, products)
    return Core("billing", {
        "StartProductBilling": products.start,
        "StopProductBilling": products.stop,
        "RecordUsage": Usages(tariffs).record,
        "BillOnDemand": bills.preview,
        "GetBill": bills.get,
        "RunBilling": runs.run,
        "ContinueBillRun": runs.go_on,
        "BillAccount": runs.account,
    }, metadata)
