from __future__ import annotations

import re

import pytest

from adapters.store.retention import Kind
from config.documents import SiteError
from config.loader import BUNDLED, load
from config.settings import Retention


def site(tmp_path, database):
    text = (BUNDLED / "plain" / "uip.yaml").read_text()
    for folder in ("catalog", "policies"):
        (tmp_path / folder).mkdir()
        for file in (BUNDLED / "plain" / folder).glob("*.yaml"):
            (tmp_path / folder / file.name).write_text(file.read_text())
    (tmp_path / "uip.yaml").write_text(re.sub(r"(?m)^database:\n(  .*\n)+", database + "\n", text))
    return load(tmp_path, {"soap": None, "mml": None}, {}, {})


def test_what_is_kept_how_long(tmp_path, monkeypatch):
    with pytest.raises(SiteError) as wrong:
        site(tmp_path, "database: {retention: {journal: 6, dead: soon, mesages: 10}}")
    told = [str(problem) for problem in wrong.value.problems if "retention" in problem.path]
    assert all("uip.yaml:" in line for line in told)
    assert [line.partition(": ")[2] for line in told] == [
        "database.retention.journal: must be whole days, 7 or more, or `never`",
        "database.retention.dead: must be whole days, 7 or more, or `never`",
        "database.retention.mesages: is not known here; did you mean messages?"]


def test_every_kind_has_its_age():
    assert {kind.value for kind in Kind} <= set(Retention.model_fields)
    assert Retention(journal="never").journal is None
