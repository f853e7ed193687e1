"""The files of config/examples keep step with the program: they parse, and every option and variable in them is known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from config.loader import BUNDLED
from config.settings import Limits
from gateway.__main__ import parsed
from gateway.commands import init
from gateway.site import adapters_for, load_site

EXAMPLES = BUNDLED.parent / "examples"
LONGEST_STOP = Limits().drain_timeout * 2 + 10
"""Seconds that the workers' parent waits for them (gateway/workers.py)."""


@pytest.fixture
def compose(monkeypatch):
    text = (EXAMPLES / "compose.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: f"a-{found[1]}", text))


def test_the_compose_file_has_every_role_and_its_commands_are_known(compose):
    roles = [parsed(service["command"]).roles for service in compose["services"].values() if service["image"] == "uip"]
    assert sorted(role for (role,) in roles) == ["connector", "core", "core", "gateway", "gateway"]
    for service in compose["services"].values():
        if service["image"] == "uip":
            assert int(service["stop_grace_period"].removesuffix("s")) >= LONGEST_STOP
            assert set(service["depends_on"]) <= set(compose["services"])


def test_the_site_of_the_compose_file_loads_with_its_environment(compose, monkeypatch, tmp_path):
    parsed_init = parsed(["init", str(tmp_path / "site")])
    assert init.run(parsed_init) == 0
    (tmp_path / "site" / "uip.yaml").write_text((EXAMPLES / "uip.yaml").read_text())
    environment = compose["services"]["gateway-1"]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    site = load_site(tmp_path / "site", adapters_for())
    assert site.bus is not None
    assert site.bus.urls[0].host == "rabbitmq"
    assert site.settings.database.url == environment["UIP_DATABASE_URL"]
    assert {name for name in environment if name.startswith("UIP_")} == {"UIP_BUS_URL", "UIP_AMQP_URL", "UIP_DATABASE_URL"}
    assert set(site.listeners) == {"soap", "mml", "mml-framed", "amqp"}


@pytest.mark.parametrize("name", ["uip.service", "uip@.service"])
def test_the_units_run_what_there_is_and_wait_as_long_as_a_stop_may_take(name):
    lines = [line for line in (EXAMPLES / name).read_text().splitlines() if line and not line.startswith("#")]
    unit = [line.partition("=")[::2] for line in lines if not line.startswith("[")]
    assert all(key and value for key, value in unit)
    assert [line for line in lines if line.startswith("[")] == ["[Unit]", "[Service]", "[Install]"]
    commands = [value for key, value in unit if key.startswith("Exec") and "/opt/uip/bin/uip" in value]
    assert [command.split()[1] for command in commands] == ["check", "serve", "check"]
    for command in commands:
        for role in ("gateway", "core", "connector"):
            parsed(command.replace("$UIP_SERVE", "--workers 4").replace("%i", role).split()[1:])
    assert float(dict(unit)["TimeoutStopSec"]) >= LONGEST_STOP
    assert dict(unit)["KillMode"] == "mixed", "the workers are told by their parent"


def test_the_commands_of_the_readme_are_known():
    commands = re.findall(r"/opt/uip/bin/uip ([^#\n]*)", (EXAMPLES / "README.md").read_text())
    assert len(commands) == 2
    for command in commands:
        parsed(command.split())


def test_the_image_starts_what_there_is():
    text = (EXAMPLES / "Dockerfile").read_text()
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    parsed(yaml.safe_load(command))
    assert Path(parsed(yaml.safe_load(command)).site) == Path("/site")
