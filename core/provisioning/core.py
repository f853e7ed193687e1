"""The provisioning core, put together: its handlers by message type, its tables, its start."""

from __future__ import annotations

from collections.abc import Mapping

from core.provisioning.cancelling import cancel
from core.provisioning.catalog import Pool, Recipe, checked_catalog
from core.provisioning.ordering import Ordering
from core.provisioning.qualification import Qualification
from core.provisioning.resources import prepare
from core.provisioning.tables import metadata
from core.provisioning.work import element_answered
from core.unit_of_work import Core, UnitOfWork


def build(recipes: Mapping[str, Recipe], pools: Mapping[str, Pool]) -> Core:
    """Make the core. `recipes` and `pools` are by id. Raises ValueError when a recipe names a pool that does not fit."""
    checked_catalog(recipes, pools)
    ordering = Ordering(recipes, pools)
    qualification = Qualification(recipes, pools)

    def start(uow: UnitOfWork) -> None:
        prepare(uow, pools)

    return Core("provisioning", {
        "SubmitServiceOrder": ordering.submit,
        "ContinueServiceOrder": ordering.go_on,
        "CancelServiceOrder": cancel,
        "QualifyService": qualification.qualify,
        "ExpireReservation": qualification.expire,
        "ResourceCommandResult": element_answered,
        "Fault": element_answered,
    }, metadata, on_start=start)
