"""The cores together on the bench, with the demo site's files, and an outside world whose answers a test can choose."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

import core.billing.core
import core.credit.core
import core.monitor.core
import core.orders.core
import core.provisioning.core
from core.billing.catalog import Tariff
from core.credit.objects import BureauReport, BureauVerdict, QueryBureau
from core.credit.policy import CreditPolicy
from core.messages.base import BusinessObject
from core.messages.envelope import Envelope
from core.messages.failures import Fault, Kind
from core.orders.catalog import Offering
from core.orders.objects import GetProductOrder, ProductOrder, SubmitProductOrder
from core.provisioning.catalog import Pool, Recipe
from core.provisioning.objects import ResourceCommand, ResourceCommandResult
from tests.core.bed import Bed

SITE = Path(__file__).parents[2] / "config" / "site" / "demo"


@cache
def _read(name: str) -> Any:
    return yaml.safe_load((SITE / name).read_text())


def _named(entries: Any, model: Any) -> dict[str, Any]:
    return {made.id: made for made in (model.model_validate(e) for e in entries)}


def cores() -> list[Any]:
    return [
        core.orders.core.build(_named(_read("catalog/offerings.yaml")["offerings"], Offering)),
        core.credit.core.build(CreditPolicy.model_validate(_read("policies/credit.yaml")["credit"])),
        core.provisioning.core.build(_named(_read("catalog/recipes.yaml")["recipes"], Recipe),
                                     _named(_read("catalog/pools.yaml")["pools"], Pool)),
        core.billing.core.build(_named(_read("catalog/tariffs.yaml")["tariffs"], Tariff)),
        core.monitor.core.build(),
    ]


class Outside:
    """Bureaus and elements. `down` names addresses that answer unavailable, `silent` those that do not answer."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.verdict = BureauVerdict.ACCEPT
        self.score = 800
        self.refuses: set[str] = set()
        self.commands: list[ResourceCommand] = []
        self.queries: list[str] = []

    def __call__(self, to: str, envelope: Envelope[Any]) -> BusinessObject | None:
        body = envelope.body
        if isinstance(body, QueryBureau):
            self.queries.append(to)
        if to in self.silent:
            return None
        if to in self.down:
            return Fault(code=Kind.UNAVAILABLE, message="out of reach")
        if isinstance(body, QueryBureau):
            return BureauReport(agency=to, verdict=self.verdict, score=self.score)
        assert isinstance(body, ResourceCommand)
        if body.command in self.refuses:
            return Fault(code=Kind.STATE, message="ERR4007: refused")
        self.commands.append(body)
        return ResourceCommandResult(workOrder=body.workOrder, done=True)


class Whole(Bed):
    """A bench with everything."""

    def __init__(self) -> None:
        self.world = Outside()
        super().__init__(*cores(), outside=self.world)

    def submit(self, *, run: bool = True, **changes: Any) -> ProductOrder:
        body = {"externalId": "E1", "relatedParty": {"id": "C1", "name": "Ann Lee"},
                "productOrderItem": [{"productOffering": "mobile-basic"}], **changes}
        order = self.ask("orders", SubmitProductOrder.model_validate(body), run=run)
        assert isinstance(order, ProductOrder)
        return order

    def read(self, order: ProductOrder) -> ProductOrder:
        current = self.ask("orders", GetProductOrder(id=order.id), run=False)
        assert isinstance(current, ProductOrder)
        return current
