"""A business object's JSON, which is kept for a while."""

from __future__ import annotations

from core.messages.base import RelatedParty, as_json


def test_each_object_has_its_own_text_whatever_took_its_place():
    parties = [RelatedParty(id=str(n), name="Ann Lee") for n in range(1000)]
    for _ in range(2):
        assert [as_json(party) for party in parties] == [party.model_dump_json(exclude_none=True) for party in parties]


def test_an_object_where_another_was_has_its_own_text():
    for n in range(1000):  # each at the address of the one before, most likely
        party = RelatedParty(id=str(n), name="Ann Lee")
        assert as_json(party) == party.model_dump_json(exclude_none=True)
        del party
