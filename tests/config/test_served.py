"""What a protocol file serves is held against our own requests, and each mistake shown where it stands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from config.documents import SiteError
from config.loader import BUNDLED
from gateway.site import adapters_for, load_site

FILE = """\
protocol: legacy
transport: mml
dialect: huawei-text
serves:
  commands:
    NEW SUBSCR:
      request: SubmitProductOrder
      takes:
        externalId: {from: $REF}
        relatedParty.id: {from: $CUST}
        relatedParty.name: {from: $CUST}
        productOrderItem:
          list:
            of:
              - {id: {from: "1"}, action: {from: add}, productOffering: {from: $PLAN}}
"""


def problems(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    site = tmp_path / "site"
    shutil.copytree(BUNDLED / "demo", site)
    file = site / "protocols" / "legacy.yaml"
    file.write_text(text)
    try:
        load_site(site, adapters_for())
    except SiteError as error:
        return [(p.line, p.message) for p in error.problems if p.file == file]
    return []


def test_a_right_file_is_taken(tmp_path: Path) -> None:
    assert problems(tmp_path, FILE) == []


@pytest.mark.parametrize(("right", "wrong", "line", "told"), [
    ("request: SubmitProductOrder", "request: SubmitProductOder", 7, "did you mean SubmitProductOrder?"),
    ("relatedParty.name:", "relatedParty.nam:", 11, "RelatedParty has no nam; did you mean name?"),
    ("externalId: {from: $REF}", "externalId.id: {from: $REF}", 9, "id is inside a single value"),
    ("productOffering: {", "productOfering: {", 15, "did you mean productOffering?"),
    ("{from: $REF}", "{frm: $REF}", 9, "is not known here; did you mean from?"),
    ("productOffering: {from: $PLAN}", "quantity: {from: $QTY}", 15, "productOffering is missing: ProductOrderItemRequest needs it"),
])
def test_mistakes(tmp_path: Path, right: str, wrong: str, line: int, told: str) -> None:
    assert right in FILE
    found = problems(tmp_path, FILE.replace(right, wrong))
    assert (line, told) in [(at, told if told in text else text) for at, text in found], found


def test_a_request_that_is_not_ours_is_told_beside_what_else_is_wrong(tmp_path: Path) -> None:
    found = problems(tmp_path, FILE.replace("SubmitProductOrder", "SubmitProductOder").replace("{from: $REF}", "{frm: $REF}"))
    assert (7, "there is no request SubmitProductOder; did you mean SubmitProductOrder?") in found
    assert (9, "is not known here; did you mean from?") in found
