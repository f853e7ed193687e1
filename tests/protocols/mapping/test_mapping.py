"""Field maps, templates and what a wrong file is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from protocols.mapping import Definition, DefinitionError, MappingError, Template

SITE = Path(__file__).parents[3] / "config/site/demo/protocols"


def bureau() -> dict:
    return yaml.safe_load((SITE / "credit-bureau-mml.yaml").read_text())


def test_templates() -> None:
    assert Template("$a.b").fill({"a": {"b": 7}}) == 7
    assert Template("x{a.b}y").fill({"a": {"b": 7}}) == "x7y"
    assert Template("{a}").fill({}) is None
    with pytest.raises(ValueError, match="not a field path"):
        Template("$a..b")


def test_reply_is_parsed_and_checked() -> None:
    operation = Definition.load(bureau()).operations["QueryBureau"]
    assert operation.parse({"fields": {"AGENCY": "A1", "VERDICT": "D", "SCORE": "12"}}) == {
        "agency": "A1", "verdict": "refuse", "score": 12}
    for wrong in ({"VERDICT": "D"}, {"AGENCY": "A1", "VERDICT": "Z"}, {"AGENCY": "A1", "VERDICT": "A", "SCORE": "1001"}):
        with pytest.raises(MappingError):
            operation.parse({"fields": wrong})


@pytest.mark.parametrize(("change", "path"), [
    ({"from": "$a..b"}, ("operations", "QueryBureau", "takes", "party", "from")),
    ({"pattern": "("}, ("operations", "QueryBureau", "takes", "party", "pattern")),
    ({"requird": True}, ("operations", "QueryBureau", "takes", "party", "requird")),
])
def test_mistakes_are_named_with_their_path(change: dict, path: tuple) -> None:
    data = bureau()
    data["operations"]["QueryBureau"]["takes"]["party"] = change
    with pytest.raises(DefinitionError) as caught:
        Definition.load(data)
    assert [p for p, _ in caught.value.problems] == [path]


@pytest.mark.parametrize("name", ["hlr", "credit-bureau-mml"])
def test_demo_files_load(name: str) -> None:
    assert Definition.load(yaml.safe_load((SITE / f"{name}.yaml").read_text())).protocol == name


@pytest.mark.parametrize(("code", "means"), [("0", "success"), ("SUCCESS0001", "success"), ("ERR7", "refused"), ("ERR20", "retryable"),
                                             ("ERR2099", "ambiguous"), ("", "refused")])
def test_codes_are_whole_or_begin_so(code: str, means: str) -> None:
    data = bureau()
    data["results"]["classes"] = {"success": ["0", "SUCCESS*"], "retryable": ["ERR20*"], "ambiguous": ["ERR2099"]}
    assert Definition.load(data).classify(code) == means
