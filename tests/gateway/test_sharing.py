"""What several processes of one site need is there, or `uip serve` says what is not."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from twisted.internet import reactor

from config.documents import SiteError
from gateway.app import ROLES, Role, check_shared
from gateway.commands.init import write_site
from gateway.commands.serve import add_arguments, run
from gateway.site import adapters_for, load_site


def site(folder: Path, old: str = "", new: str = ""):
    write_site(folder, demo=True)
    file = folder / "uip.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return load_site(folder, adapters_for())


def test_cores_are_refused_on_sqlite(tmp_path, capsys, monkeypatch):
    made = site(tmp_path / "site")
    with pytest.raises(SiteError, match=r"uip\.yaml:31: database\.url: .*, and sqlite:///data/uip\.db is for one; use postgresql://"):
        check_shared(made, ROLES, 2)
    check_shared(made, [Role.GATEWAY], 2)  # they have no database
    monkeypatch.setattr("gateway.observability.start_logging", lambda _level: None)
    args = argparse.ArgumentParser()
    add_arguments(args)
    assert run(args.parse_args([str(tmp_path / "site"), "--workers", "2"]), reactor) == 1
    assert "site/uip.yaml:31: database.url: several processes" in capsys.readouterr().err
    assert not (tmp_path / "site" / "data").exists()


@pytest.mark.parametrize(("slots", "sessions", "enough"), [(1, 1, False), (2, 1, True), (3, 2, False), (4, 2, True)])
def test_an_account_must_have_a_session_for_each_worker(tmp_path, monkeypatch, slots, sessions, enough):
    monkeypatch.setenv("UIP_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    made = site(tmp_path / "site", "{protocol: hlr,", f"{{login_slots: {slots}, sessions: {sessions}, protocol: hlr,")
    if enough:
        check_shared(made, ROLES, 2)
    else:
        with pytest.raises(SiteError, match=rf"uip\.yaml:20: connectors\.hlr\.login_slots: must be {2 * sessions} or more for 2 workers"):
            check_shared(made, ROLES, 2)
    check_shared(made, [Role.GATEWAY, Role.CORE], 2)
