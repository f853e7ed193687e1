"""A business object's JSON, which is kept with it."""

from __future__ import annotations

from core.messages.base import RelatedParty, as_json


def test_the_text_is_made_once():
    party = RelatedParty(id="1", name="Ann Lee")
    assert as_json(party) == party.model_dump_json(exclude_none=True)
    assert as_json(party) is as_json(party)


def test_the_text_is_no_part_of_the_object():
    party, like = RelatedParty(id="1", name="Ann Lee"), RelatedParty(id="1", name="Ann Lee")
    as_json(party)
    assert party == like
    assert party.model_dump() == like.model_dump()


def test_a_changed_copy_has_its_own_text():
    party = RelatedParty(id="1", name="Ann Lee")
    as_json(party)
    changed = party.model_copy(update={"name": "Bo"})
    assert as_json(changed) == changed.model_dump_json(exclude_none=True)
