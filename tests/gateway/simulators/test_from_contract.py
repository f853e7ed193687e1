"""`uip new-protocol NAME --wsdl FILE`: what is written is right but for what a person has to decide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from config.loader import BUNDLED
from gateway.__main__ import main
from gateway.commands.init import write_site
from protocols.mapping import Definition
from protocols.soap.foreign import load_contract
from protocols.soap.foreign.checking import wrong_names

DEMO = BUNDLED / "demo/protocols/wsdl"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_site(tmp_path, demo=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.stem for path in DEMO.glob("*.wsdl")))
def test_it_fits_the_contract(site: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-protocol", "mine", "--wsdl", f"protocols/wsdl/{name}.wsdl"]) == 0
    assert "uip check" in capsys.readouterr().out
    written = (site / "protocols/mine.yaml").read_text()
    contract = load_contract(DEMO / f"{name}.wsdl", DEMO)
    decided = yaml.safe_load(written)
    assert set(decided["operations"]) == set(contract.operations)
    for operation in decided["operations"].values():
        operation["repeatable"] = True
    left = {text.partition(" ")[0] for _, text in wrong_names(Definition.load(decided), contract)}
    assert left <= set(re.findall(r"# +(\w+)\.ELEMENT: anything", written))  # which elements stand there is a decision, too


def test_what_changes_something_is_left_to_be_decided(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-protocol", "mine", "--wsdl", "protocols/wsdl/provisioning.wsdl"]) == 0
    assert main(["check", str(site)]) == 1
    mistakes = capsys.readouterr().err + capsys.readouterr().out
    assert "operations.Create: send.0: give either a query or `repeatable: true`" in mistakes
    assert "operations.Get:" not in mistakes


def test_a_contract_that_contradicts_itself_is_begun_unchecked(site: Path) -> None:
    wsdl = site / "protocols/wsdl/credit-bureau.wsdl"
    twice = "".join(f'<xs:element name="Twice" type="xs:{kind}"/>' for kind in ("int", "string"))
    wsdl.write_text(wsdl.read_text().replace("</xs:schema>", twice + "</xs:schema>", 1))
    assert main(["new-protocol", "mine", "--wsdl", str(wsdl)]) == 0
    text = (site / "protocols/mine.yaml").read_text()
    assert yaml.safe_load(text)["soap"]["validate"] is False
    assert "# its schemas are not sound (credit-bureau.wsdl: " in text


def test_a_reference_that_leads_nowhere_is_given_a_file(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wsdl = site / "protocols/wsdl/provisioning.wsdl"
    wsdl.write_text(wsdl.read_text().replace('schemaLocation="provisioning-subscription.xsd"', 'schemaLocation="http://gone.example/a?b=c"'))
    assert main(["new-protocol", "mine", "--wsdl", str(wsdl)]) == 1
    assert "--imports REFERENCE=FILE" in capsys.readouterr().err
    given = "http://gone.example/a?b=c=protocols/wsdl/provisioning-subscription.xsd"
    assert main(["new-protocol", "mine", "--wsdl", str(wsdl), "--imports", given]) == 0
    written = yaml.safe_load((site / "protocols/mine.yaml").read_text())
    assert written["imports"] == {"http://gone.example/a?b=c": "wsdl/provisioning-subscription.xsd"}


@pytest.mark.parametrize(("arguments", "said"), [
    (["--wsdl", "elsewhere.wsdl"], "below protocols"), (["--wsdl", "protocols/wsdl/nothing.wsdl"], "nothing.wsdl"),
    (["--wsdl", "protocols/wsdl/provisioning.wsdl", "--like", "tl1"], "neither --like nor --transport")])
def test_what_cannot_be_is_said_and_nothing_written(site: Path, arguments: list[str], said: str,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-protocol", "mine", *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not (site / "protocols/mine.yaml").exists()
