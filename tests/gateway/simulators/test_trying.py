"""`uip try` and `uip new-protocol`, as an operator uses them."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.loader import BUNDLED
from core.messages.catalogue import OPERATIONS
from gateway.__main__ import main
from gateway.simulators.examples import example
from gateway.simulators.files import read_protocol
from gateway.simulators.trying import Trial

DEMO = BUNDLED / "demo"


@pytest.fixture
def new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["new-protocol", "my-hlr", "--into", str(tmp_path)]) == 0
    capsys.readouterr()
    return tmp_path / "my-hlr.yaml"


def tried(file: Path | str, sample: str, reply: Any = None) -> Trial:
    return Trial(*read_protocol(str(file)), reply).run(sample.encode())


def test_the_demo_s_samples_are_as_expected() -> None:
    assert main(["try", "--all", str(DEMO)]) == 0


def test_a_new_protocol_passes_its_own_samples_and_the_site_s_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site"
    shutil.copytree(DEMO, site)
    assert main(["new-protocol", "my-hlr", "--into", str(site / "protocols")]) == 0
    assert main(["try", "--all", str(site / "protocols" / "my-hlr.yaml")]) == 0
    assert "8 samples, none different" in capsys.readouterr().out
    text = (site / "uip.yaml").read_text().replace("listeners:\n", "listeners:\n  legacy: {protocol: my-hlr, port: 0}\n")
    text = text.replace("connectors:\n", "connectors:\n  element: {protocol: my-hlr, port: 7791, user: u, secret: s}\n")
    (site / "uip.yaml").write_text(text)
    assert main(["check", str(site)]) == 0, capsys.readouterr().err
    assert "4 listeners, 4 connectors" in capsys.readouterr().out


def test_a_new_protocol_for_a_partner_on_a_broker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site"
    shutil.copytree(DEMO, site)
    file = site / "protocols" / "my-partner.yaml"
    assert main(["new-protocol", "my-partner", "--transport", "amqp", "--into", str(file.parent)]) == 0
    assert main(["try", "--all", str(file)]) == 0
    assert "9 samples, none different" in capsys.readouterr().out
    assert "NAME" not in file.read_text()
    said = {file.stem: file.read_text() for file in (site / "protocols/samples/my-partner").glob("*.out")}
    assert "means: notFound" in said["answer-of-a-partner"]
    assert "again: my-partner does not answer" in said["drive-a-partner-that-does-not-answer"]
    assert "refused: state: 4001 Not allowed" in said["drive-a-partner-that-refuses"]
    assert "my-partner.elements type=CreateSubscriber tenant=north" in said["drive-a-subscriber"]
    assert "my-partner.notes type=SubscriberNote" in said["drive-a-note-that-is-only-told"]
    assert "answered: nothing is waited for" in said["drive-a-note-that-is-only-told"]
    assert "productOffering: mobile-basic" in said["serve-a-new-subscriber"]
    assert "FAILED: productOrderItem[0].productOffering: must be one of 01, 02" in said["serve-what-is-wrong"]
    assert all("FAILED:" not in text for name, text in said.items() if name != "serve-what-is-wrong")
    url = "url: 'amqp://127.0.0.1/'"
    text = (site / "uip.yaml").read_text()
    text = text.replace("listeners:\n", f"listeners:\n  partner: {{protocol: my-partner, transport: amqp, {url}, party: crm}}\n")
    text = text.replace("connectors:\n", f"connectors:\n  element: {{protocol: my-partner, {url}}}\n")
    (site / "uip.yaml").write_text(text)
    assert main(["check", str(site)]) == 0, capsys.readouterr().err
    assert "4 listeners, 4 connectors" in capsys.readouterr().out


def test_only_mml_has_dialects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-protocol", "mine", "--transport", "amqp", "--like", "tl1", "--into", str(tmp_path)]) == 1
    assert "amqp has no dialects" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dialect", [*sorted(file.stem for file in (BUNDLED / "dialects").glob("*.yaml")), "orion"])
def test_a_new_protocol_in_every_dialect(dialect: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site"
    shutil.copytree(DEMO, site)
    (site / "dialects").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parent / "orion.yaml", site / "dialects")
    assert main(["new-protocol", "mine", "--like", dialect, "--into", str(site / "protocols")]) == 0
    capsys.readouterr()
    assert main(["try", "--all", str(site / "protocols" / "mine.yaml")]) == 0
    assert "8 samples, none different" in capsys.readouterr().out
    said = {file.stem: file.read_text() for file in (site / "protocols/samples/mine").glob("*.out")}
    assert "means: notFound" in said["answer-of-an-element"]
    assert "productOffering: mobile-basic" in said["serve-a-new-subscriber"]
    assert "Order id-1" in said["serve-a-new-subscriber"] or "id-1" in said["serve-a-new-subscriber"]
    assert "FAILED: PLAN: must be one of 01, 02" in said["serve-what-is-wrong"]
    assert "again: mine does not answer" in said["drive-an-element-that-does-not-answer"]
    assert all("FAILED:" not in text for name, text in said.items() if name != "serve-what-is-wrong")
    text = (site / "uip.yaml").read_text().replace("listeners:\n", "listeners:\n  legacy: {protocol: mine, port: 0}\n")
    (site / "uip.yaml").write_text(text)
    assert main(["check", str(site)]) == 0, capsys.readouterr().err


def test_an_unknown_dialect_is_told_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-protocol", "mine", "--like", "records-jsn", "--into", str(tmp_path)]) == 1
    assert "no dialect records-jsn; did you mean records-json?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dialect_that_is_wrong_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dialects").mkdir()
    (tmp_path / "dialects/odd.yaml").write_text("dialect: odd\nframing: text\nreport: {form: inline}\ncommand: {quot: x}\n")
    assert main(["new-protocol", "mine", "--like", "odd", "--into", str(tmp_path)]) == 1
    assert "odd.yaml:4: command.quot: no such field; did you mean quote?" in capsys.readouterr().err


def test_what_cannot_be_told_apart_is_read_as_one_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-protocol", "mine", "--like", "records-delimited", "--into", str(tmp_path)]) == 0
    trial = Trial(*read_protocol(str(tmp_path / "mine.yaml")))
    assert "means: refused" in trial.run(b"LST SUB|1|4711|not today\n", answers=True).told
    assert "IMSI: '4711'" in tried(tmp_path / "mine.yaml", "LST SUB|1|4711|X=1\n").told


def test_an_answer_in_parts_is_shown_as_one(new: Path) -> None:
    capture = (Path(__file__).parents[2] / "vectors/mml/huawei-text.client.multi-part.txt").read_text()
    whole = tried(new, capture)
    assert not whole.failed, whole.told
    assert whole.told.count("means: success") == 1
    cut = tried(new, capture[:capture.index("---    END") + 12])
    assert "FAILED: the last part of the answer is missing" in cut.told


def test_an_alarm_is_shown_as_it_is_reported(new: Path) -> None:
    capture = (Path(__file__).parents[2] / "vectors/mml/huawei-text.client.alarm-between.txt").read_text()
    trial = tried(new, capture)
    assert not trial.failed, trial.told
    assert "perceivedSeverity: critical" in trial.told
    assert "means: notFound" in trial.told, "the answer behind it is shown too"
    alone = tried(new, capture[:capture.index("---    END") + 12].replace("2003-11-21 08:54:10", "2003-21-21 08:54:10"))
    assert "externalAlarmId: '3302'" in alone.told
    assert "FAILED: alarmReportingTime" in alone.told


def test_nothing_is_overwritten_and_a_bad_name_is_refused(new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new.write_text("mine")
    assert main(["new-protocol", "my-hlr", "--into", str(new.parent)]) == 1
    assert new.read_text() == "mine"
    for wrong in ("../x", "NAME OF", "1", ""):
        assert main(["new-protocol", wrong, "--into", str(new.parent)]) == 1
    assert "letters, digits and dashes" in capsys.readouterr().err
    assert sorted(p.name for p in new.parent.iterdir()) == ["my-hlr.yaml", "samples"]


def test_a_difference_is_shown_and_the_exit_code_tells_it(new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new.write_text(new.read_text().replace("maximum: 10", "maximum: 200"))
    assert main(["try", "--all", str(new)]) == 1
    out = capsys.readouterr().out
    assert "-FAILED: COUNT: must be at most 10" in out
    assert "8 samples, 1 different" in out
    assert main(["try", "--all", str(new), "--write"]) == 0
    assert main(["try", "--all", str(new)]) == 0


def test_no_samples_is_no_success(tmp_path: Path, new: Path) -> None:
    shutil.rmtree(new.parent / "samples")
    assert main(["try", "--all", str(new)]) == 1
    assert main(["try", "--all", str(tmp_path / "samples")]) == 1


@pytest.mark.parametrize(("sample", "code"), [('NEW SUBSCRIBER:REF=1,CUSTOMER=C,NAME=N,PLAN="01";', 0), ("NEW SUBSCRIBER:REF=1;", 1),
                                              ("", 1)])
def test_one_sample_from_standard_input(new: Path, monkeypatch: pytest.MonkeyPatch, sample: str, code: int) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sample.encode())))
    assert main(["try", str(new)]) == code


def test_every_failed_check_is_shown_ours_and_the_business_object_s(new: Path) -> None:
    trial = tried(new, f'NEW SUBSCRIBER:REF={"x" * 65},NAME=N,PLAN="09",FOO=1;')
    assert trial.failed
    for told in ("FOO: is not known here", "REF: must be at most 64 long", "CUSTOMER: is required", "PLAN: must be one of 01, 02"):
        assert f"FAILED: {told}" in trial.told
    new.write_text(new.read_text().replace("required: true, max_length: 64}", "required: true}"))
    trial = tried(new, f'NEW SUBSCRIBER:REF={"x" * 65},CUSTOMER={"y" * 65},NAME=N,PLAN="01";')
    assert trial.told.count("FAILED: REF: must have 64 characters at most") == 1
    assert "FAILED: CUSTOMER: must have 64 characters at most" in trial.told
    assert "RETCODE = 100  REF: must have 64 characters at most" in trial.told


def test_a_given_reply_is_packed(new: Path) -> None:
    fault = {"fault": {"code": "notFound", "message": "no such order"}}
    assert "RETCODE = 404  Not found" in tried(new, "SHOW SUBSCRIBER:ORDERNO=1;", fault).told
    wrong = tried(new, "SHOW SUBSCRIBER:ORDERNO=1;", {"id": "1"})
    assert wrong.failed
    assert "FAILED: invalid: href: is missing" in wrong.told


@pytest.mark.parametrize(("sample", "told", "failed"), [
    ('{"operation": "createSubscriber", "data": {"imsi": "240010000000001", "msisdn": "4790000001"}}', "sent: ACT SUB", False),
    ('{"operation": "createSubscriber", "data": {"imsi": "240010000000666", "msisdn": "4790000001"}}', "refused: state: 4001", False),
    ('{"operation": "createSubscriber", "data": {"imsi": "x", "msisdn": "4790000001"}}', "must match", True),
    ('{"operation": "fly", "data": {}}', "has no command fly", True),
    ("{", "is not {", True),
    ("ADD SUB:IMSI=1,ISDN=2;", "applied: 1", False),
    ("ADD SUB:IMSI=1;", "RETCODE = 1002", False),
    ("ADD SUB:IMSI==;", "cannot be read", True),
    ("LGI:OPNAME=uip,PWD=uip-secret;", "PWD: '*****'", False),
    ("+++    X        2026-01-01 00:00:00\r\n%%ADD SUB:%%\r\nRETCODE = 2001  Busy\r\n---    END\r\n", "means: retryable", False),
    ("nothing", "holds no whole message", True),
])
def test_samples_of_the_other_side(new: Path, sample: str, told: str, failed: bool) -> None:
    trial = tried(new, sample)
    assert told in trial.told
    assert trial.failed is failed
    assert "uip-secret" not in trial.told


def test_the_same_file_in_frames(new: Path) -> None:
    new.write_text(new.read_text().replace("dialect: huawei-text", "dialect: framed"))
    trial = tried(new, '{"operation": "createSubscriber", "data": {"imsi": "240010000000444", "msisdn": "4790000001"}}')
    assert "ACK:LST SUB:RETN=0" in trial.told
    assert not trial.failed


def test_mistakes_are_told_with_file_and_line(new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = next(n for n, text in enumerate(new.read_text().splitlines(), 1) if "maximum: 10" in text)
    new.write_text(new.read_text().replace("maximum: 10", "maximun: 10").replace("$asked.IMSI, set", "$aksed.IMSI, set"))
    assert main(["try", "--all", str(new)]) == 1
    err = capsys.readouterr().err
    where = "serves.commands.NEW SUBSCRIBER.takes.productOrderItem.list.of[0].quantity.maximun"
    assert f"{new}:{line}: {where}: is not known here; did you mean maximum?" in err
    new.write_text(new.read_text().replace("maximun: 10", "maximum: 10"))
    assert main(["try", "--all", str(new)]) == 1
    assert "simulator.commands.ACT SUB.key: a key has no aksed; did you mean asked?" in capsys.readouterr().err


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
def test_an_example_of_every_reply_can_be_made(operation: Any) -> None:
    assert isinstance(example(operation.reply, {}), operation.reply)


def test_the_starting_file_holds_all_that_it_promises() -> None:
    data = yaml.safe_load((BUNDLED / "new-protocol" / "mml.yaml").read_text())
    assert {"serves", "operations", "simulator", "results", "codes"} <= set(data)


def test_what_is_said_unasked_and_only_logged_is_told(tmp_path: Path) -> None:
    assert main(["new-protocol", "mine", "--like", "tl1", "--into", str(tmp_path)]) == 0
    event = '\r\n\n   NE1 06-10-22 10:10:10\r\nA  0042 REPT EVT T1\r\n   "1-1:LOSS,CL"\r\n;\r\n'
    trial = tried(tmp_path / "mine.yaml", event)
    assert (trial.failed, trial.told) == (False, 'unasked, only logged: NE1 06-10-22 10:10:10 A 0042 REPT EVT T1 "1-1:LOSS,CL" ;\n')


def test_all_is_where_you_are_and_one_wants_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new-protocol", "mine"]) == 0
    assert main(["try", "--all"]) == 0
    assert "none different" in capsys.readouterr().out
    assert main(["try"]) == 1
    assert "which protocol file" in capsys.readouterr().err


def test_an_answer_that_tells_no_result_is_never_taken_for_a_command(tmp_path: Path) -> None:
    assert main(["new-protocol", "mine", "--like", "nokia-dx200", "--into", str(tmp_path)]) == 0
    trial = Trial(*read_protocol(str(tmp_path / "mine.yaml"))).run(b"ZMIO:A=1;\r\nNO SUCH LUCK\r\n<", answers=True)
    assert trial.told == "unasked, only logged: ZMIO:A=1; NO SUCH LUCK\n"
