from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters.store.engine import open_engine
from adapters.store.lockfile import LockFile
from adapters.store.migrations import upgrade
from gateway.__main__ import main, parsed
from gateway.commands.export import moment
from gateway.commands.init import write_site
from gateway.running import write_running


def test_moments_of_the_command_line():
    assert moment("2026-11-01") == datetime(2026, 11, 1, tzinfo=UTC)
    assert moment("2026-11-01T08:00:00+01:00") == datetime(2026, 11, 1, 8, tzinfo=timezone(timedelta(hours=1)))
    assert moment("2026-11-01T08:00:00Z") == datetime(2026, 11, 1, 8, tzinfo=UTC)
    for wrong, says in (("tomorrow", "tomorrow is no time"), ("2026-11-01T08:00:00", "lacks its offset"), ("2026-13-01", "is no time")):
        with pytest.raises(argparse.ArgumentTypeError, match=says):
            moment(wrong)


def test_options_may_stand_between_arguments(capsys):
    asked = parsed(["call", "RecordUsage", "--by", "mml", "source=S1", "--key", "K1", "usageId=U-1"])
    assert (asked.command, asked.operation, asked.by, asked.key) == ("call", "RecordUsage", "mml", "K1")
    assert asked.fields == ["source=S1", "usageId=U-1"]
    with pytest.raises(SystemExit):
        parsed(["call", "RecordUsage", "--bye", "mml"])
    assert "uip call: error: unrecognized arguments: --bye" in capsys.readouterr().err


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("UIP_DATABASE_URL", raising=False)
    write_site(tmp_path / "site", demo=True)
    return tmp_path / "site"


@pytest.fixture
def database(site):
    engine = open_engine(f"sqlite:///{site}/data/uip.db")
    upgrade(engine)
    engine.dispose()
    return engine


def test_try_writes_samples_only_with_all(capsys):
    assert main(["try", "hlr", "--write"]) == 1
    assert "--write goes with --all" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["export"], ["replay"], ["backup", "copy.db"], ["move", "sqlite:////tmp/never-made.db"]])
def test_without_a_database_there_is_nothing_to_do(site, capsys, command):
    assert main([command[0], str(site), *command[1:]]) == 1
    assert capsys.readouterr().err == f"uip: sqlite:///{site}/data/uip.db is not there: no gateway has run on {site} yet\n"


@pytest.mark.parametrize("command", [["export"], ["import"], ["replay"], ["backup", "copy.db"], ["move", "sqlite:////tmp/never-made.db"]])
def test_a_site_with_mistakes_is_told(site, capsys, command):
    (site / "uip.yaml").write_text("listeners: {}\n")
    assert main([command[0], str(site), *command[1:]]) == 1
    assert f"{site}/uip.yaml:1: listeners: " in capsys.readouterr().err


@pytest.mark.parametrize("command", [["export"], ["import"], ["replay"], ["backup", "copy.db"], ["move", "sqlite:////tmp/never-made.db"]])
def test_a_database_that_cannot_be_used_is_told_with_the_setting_that_names_it(site, capsys, command):
    (site / "data").mkdir()
    (site / "data" / "uip.db").write_text("these are somebody's notes, not a database\n" * 100)
    assert main([command[0], str(site), *command[1:]]) == 1
    line = (site / "uip.yaml").read_text().partition("database: {url:")[0].count("\n") + 1
    where = f"uip: {site}/uip.yaml:{line}: database.url: sqlite:///{site}/data/uip.db"
    assert capsys.readouterr().err.startswith(f"{where}: it is not a SQLite database")


def test_backup_writes_over_nothing(site, database, tmp_path, capsys):
    copy = tmp_path / "copy.db"
    assert main(["backup", str(site), str(copy)]) == 0
    assert ", checked" in capsys.readouterr().out
    assert main(["backup", str(site), str(copy)]) == 1
    assert capsys.readouterr().err == f"uip: {copy} is there already; nothing was written\n"


def test_backup_names_the_tool_for_postgresql_and_no_password(site, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UIP_DATABASE_URL", "postgresql://postgres:hidden@127.0.0.1:1/uip")
    assert main(["backup", str(site), str(tmp_path / "copy.dump")]) == 1
    told = capsys.readouterr().err
    assert f"pg_dump --format=custom --file={tmp_path}/copy.dump postgresql://postgres:***@127.0.0.1:1/uip" in told
    assert "hidden" not in told
    assert main(["export", str(site)]) == 1
    told = capsys.readouterr().err
    assert "onnection refused" in told
    assert "hidden" not in told


def test_replay_names_what_is_not_there(site, database, capsys):
    assert main(["replay", str(site)]) == 0
    assert capsys.readouterr().out == "0 messages; --send has them sent again\n"
    assert main(["replay", str(site), "nope", "--send"]) == 1
    assert capsys.readouterr().err == "uip: no dead message nope\n"
    assert main(["replay", str(site), "--file", str(site / "none.jsonl")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_move_wants_a_site_at_rest_and_an_empty_database(site, database, capsys):
    for url in ("mysql://x/y", "nonsense"):
        assert main(["move", str(site), url]) == 1
        assert capsys.readouterr().err == "uip: URL must be sqlite:///FILE or postgresql://USER@HOST/NAME\n"
    gateways = LockFile(site / "data" / "uip.db")
    gateways.take()
    assert main(["move", str(site), f"sqlite:///{site}/other.db"]) == 1
    assert "uip.db is in use by another process" in capsys.readouterr().err
    gateways.give_back()
    assert main(["move", str(site), f"sqlite:///{site}/other.db"]) == 0
    assert "copied; let database.url" in capsys.readouterr().out
    write_running(site, {})
    assert main(["move", str(site), f"sqlite:///{site}/other.db"]) == 1
    assert "stop it first" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "told"), [
    (["serve", "--workers", "0", "."], "argument --workers: 0: allowed are whole numbers from 1"),
    (["bench", "--only", "soap,nml"], "argument --only: soap,nml: allowed are floors,soap,mml,amqp, or codecs alone"),
    (["bench", "--connections", "many"], "argument --connections: many: allowed are whole numbers from 1"),
])
def test_a_wrong_option_is_told_with_what_is_allowed(arguments, told, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert told in capsys.readouterr().err


def test_a_site_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "notes").write_text("")
    assert main(["init", str(tmp_path / "notes" / "site")]) == 1
    assert capsys.readouterr().err == f"uip: {tmp_path}/notes/site cannot be written: {tmp_path}/notes/site: Not a directory\n"


def test_call_wants_the_variable_that_is_to_hold_the_secret(capsys, monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    assert main(["call", "GetProductOrder", "--secret-env", "NO_SUCH", "id=1"]) == 1
    assert capsys.readouterr().err == "uip: --secret-env: the environment has no NO_SUCH\n"


@pytest.mark.parametrize(("by", "told"), [
    ("soap", "nonsense is not http://HOST:PORT/soap"), ("mml", "nonsense is not HOST:PORT"),
    ("amqp", "the broker does not answer: not an AMQP URI: amqp://user:password@host:port/vhost"),
])
def test_an_address_that_is_none_is_told(by, told, capsys):
    assert main(["call", "GetProductOrder", "id=1", "--by", by, "--at", "nonsense"]) > 0
    assert capsys.readouterr().err.startswith(f"uip: {told}")


def test_a_demo_that_cannot_be_written_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    (tmp_path / "notes").write_text("")
    assert main(["demo", "--once", "--dir", str(tmp_path / "notes")]) == 1
    assert capsys.readouterr().err.startswith(f"uip: {tmp_path}/notes cannot be written: ")


def test_a_backup_into_no_folder_is_told(site, database, tmp_path, capsys):
    assert main(["backup", str(site), str(tmp_path / "none" / "copy.db")]) == 1
    assert capsys.readouterr().err == f"uip: {tmp_path}/none/copy.db: there is no folder {tmp_path}/none\n"


def test_a_bench_of_a_site_that_nothing_runs_says_so_first(site, capsys, monkeypatch):
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None)
    assert main(["bench", "--site", str(site)]) == 1
    assert capsys.readouterr().err.endswith(f"uip: no gateway runs the site {site}\n")
