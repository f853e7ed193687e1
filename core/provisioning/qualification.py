"""Whether an offering can be delivered (TMF645), what else can, and reservations that lapse by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.messages.envelope import Envelope
from core.messages.failures import Failure, Kind
from core.provisioning.catalog import Pool, Recipe
from core.provisioning.objects import (
    AlternateOffering,
    ExpireReservation,
    QualificationResult,
    QualifyService,
    ServiceQualification,
)
from core.provisioning.order_book import characteristics
from core.provisioning.resources import ReservationState, end_reservation, has_free, hold, is_free, take, take_next
from core.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Qualification:
    """The handlers for qualifications, with the catalogue they go by."""

    recipes: Mapping[str, Recipe]
    pools: Mapping[str, Pool]

    def qualify(self, envelope: Envelope[QualifyService], uow: UnitOfWork) -> ServiceQualification:
        """Answer from what the recipes need and what is free; reserve it when asked to."""
        asked = envelope.body
        given = {c.name: c.value for c in asked.serviceCharacteristic}
        reason = self._obstacle(uow, asked.productOffering, given)
        if reason is not None:
            others = tuple(AlternateOffering(productOffering=r.id, name=r.name) for r in self.recipes.values()
                           if r.id != asked.productOffering and self._obstacle(uow, r.id, given) is None)
            return ServiceQualification(id=uow.new_id(), productOffering=asked.productOffering, reason=reason,
                                        qualificationResult=QualificationResult.UNQUALIFIED, alternateOffering=others,
                                        serviceCharacteristic=asked.serviceCharacteristic, qualificationDate=uow.now)
        held: tuple[str | None, datetime | None] = (None, None)
        values = given
        if asked.reserve:
            reservation_id, expires, values = self._reserve(uow, self.recipes[asked.productOffering], given)
            held = (reservation_id, expires)
        return ServiceQualification(id=uow.new_id(), productOffering=asked.productOffering, reservation=held[0],
                                    reservationExpires=held[1], qualificationResult=QualificationResult.QUALIFIED,
                                    serviceCharacteristic=characteristics(values), qualificationDate=uow.now)

    @staticmethod
    def expire(envelope: Envelope[ExpireReservation], uow: UnitOfWork) -> None:
        """Release a reservation that no order has taken up in time."""
        end_reservation(uow, envelope.body.reservation, ReservationState.EXPIRED)

    def _obstacle(self, uow: UnitOfWork, offering: str, given: Mapping[str, str]) -> str | None:
        recipe = self.recipes.get(offering)
        if recipe is None:
            return f"no offering {offering} can be delivered; there are {', '.join(sorted(self.recipes))}"
        for step in recipe.allocations:
            value = given.get(step.characteristic)
            if value is not None:
                if not is_free(uow, step.characteristic, value):
                    return f"{step.characteristic} {value} is taken already"
            elif step.pool is None:
                return f"{step.characteristic} must be given"
            elif not has_free(uow, self.pools[step.pool]):
                return f"pool {step.pool} has no free {step.characteristic} left"
        return None

    def _reserve(self, uow: UnitOfWork, recipe: Recipe, given: Mapping[str, str]) -> tuple[str, datetime, dict[str, str]]:
        reservation_id, values = uow.new_id(), dict(given)
        pools = [self.pools[step.pool] for step in recipe.allocations if step.pool]
        expires = uow.now + timedelta(minutes=min((p.reservation for p in pools), default=30))
        hold(uow, reservation_id, expires)
        for step in recipe.allocations:
            pool = self.pools[step.pool] if step.pool else None
            value = values.get(step.characteristic)
            if value is None and pool is not None:
                value = take_next(uow, pool, reservation_id, expires=expires)
            elif value is not None and not take(uow, step.characteristic, value, reservation_id, expires=expires,
                                                pool=pool.id if pool and value in pool else None):
                value = None
            if value is None:  # taken between the look and the grasp by another process: the asker may ask again
                raise Failure(Kind.BUSY, f"{step.characteristic} was taken by another order just now")
            values[step.characteristic] = value
        uow.at(expires, f"provisioning.reservation.{reservation_id}", "provisioning",
               ExpireReservation(reservation=reservation_id), key=reservation_id)
        return reservation_id, expires, values
