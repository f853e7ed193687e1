"""A peer is told in its own words what is wrong with what it sent."""

from __future__ import annotations

import pytest

from core.messages.catalogue import Catalogue
from core.messages.failures import Failure, Kind
from plugins.checking import checked, checked_json


def test_all_that_is_wrong_is_told_at_once_and_the_first_is_the_field():
    request = Catalogue(["SubmitProductOrder"]).operation("SubmitProductOrder").request
    with pytest.raises(Failure) as refused:
        checked(request, {"externalId": "", "relatedParty": {"id": "C1"}, "fly": 1})
    told = refused.value.message.split("; ")
    assert [one.partition(": ")[0] for one in told] == ["externalId", "relatedParty.name", "productOrderItem", "fly"]
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, "externalId")


def test_of_very_much_that_is_wrong_the_first_is_told_and_how_much_more_there_is():
    request = Catalogue(["SubmitProductOrder"]).operation("SubmitProductOrder").request
    with pytest.raises(Failure, match=r"; and 98 more"):
        checked(request, {"externalId": "E", "relatedParty": {"id": "C1", "name": "A"}, "productOrderItem": [], **{
            f"x{number}": 1 for number in range(102)}})


ORDER = {"externalId": "E-1", "relatedParty": {"id": "C1", "name": "A"},
         "productOrderItem": [{"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic"}]}
ITEM = ORDER["productOrderItem"][0]


@pytest.mark.parametrize(("said", "told"), [
    ({"relatedParty": "C1"}, "relatedParty: must be an object"),
    ({"relatedParty": {"name": "A"}}, "relatedParty.id: is missing"),
    ({"productOrderItem": {}}, "productOrderItem: must be a list"),
    ({"productOrderItem": []}, "productOrderItem: must not be empty"),
    ({"productOrderItem": [{**ITEM, "quantity": "many"}]}, "productOrderItem[0].quantity: must be a whole number"),
    ({"productOrderItem": [{**ITEM, "quantity": 0}]}, "productOrderItem[0].quantity: must be 1 or more"),
    ({"productOrderItem": [{**ITEM, "quantity": 1001}]}, "productOrderItem[0].quantity: must be 1000 or less"),
    ({"productOrderItem": [{**ITEM, "action": "ad"}]}, "productOrderItem[0].action: must be 'add', 'modify' or 'delete'"),
    ({"externalId": 1}, "externalId: must be a text"),
    ({"externalId": ""}, "externalId: must not be empty"),
    ({"externalId": "E" * 65}, "externalId: must have 64 characters at most"),
    ({"externalId": "E\n1"}, "externalId: must be one line without control characters"),
    ({"requestedCompletionDate": "soon"}, "requestedCompletionDate: must be a date and time such as 2026-11-01T08:00:00Z"),
    ({"requestedCompletionDate": "2026-11-01T08:00:00"}, "requestedCompletionDate: must tell its offset, such as Z or +01:00"),
    ({"fly": 1}, "fly: is not known here"),
])
def test_what_is_allowed_is_told_in_words_that_know_no_python(said, told):
    request = Catalogue(["SubmitProductOrder"]).operation("SubmitProductOrder").request
    with pytest.raises(Failure) as refused:
        checked(request, {**ORDER, **said})
    assert refused.value.message == told


def test_what_is_no_json_is_told_with_its_place():
    request = Catalogue(["SubmitProductOrder"]).operation("SubmitProductOrder").request
    with pytest.raises(Failure, match=r"is not JSON: .* at line 1 column 2") as refused:
        checked_json(request, b"{x")
    assert refused.value.kind is Kind.MALFORMED
