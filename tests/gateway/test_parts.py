"""What a listener or connector rests on: when any of it changes, a reload makes it anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from config.loader import BUNDLED, Section, Site
from gateway.parts import basis_of
from gateway.site import adapters_for, load_site


@pytest.fixture
def site() -> Site:
    made = load_site(BUNDLED / "demo", adapters_for())
    own = yaml.safe_load((BUNDLED / "new-protocol" / "mml.yaml").read_text()) | {"protocol": "own", "dialect": "tl1"}
    return replace(made, protocols={**made.protocols, "own": own})


def changed(site: Site, kind: str, name: str) -> Site:
    return replace(site, **{kind: {**getattr(site, kind), name: {**getattr(site, kind)[name], "changed": True}}})


@pytest.mark.parametrize(("transport", "settings", "rests_on", "not_on"), [
    ("mml", {"protocol": "own", "port": 0}, [("protocols", "own"), ("dialects", "tl1")],
     [("dialects", "huawei-text"), ("protocols", "hlr")]),
    ("mml", {"dialect": "framed", "port": 0}, [("dialects", "framed")], [("dialects", "tl1"), ("protocols", "own")]),
    ("soap", {"partners": {"/own": "own"}, "port": 0}, [("protocols", "own")], [("protocols", "hlr")]),
])
def test_a_listener_rests_on_its_own_files_only(site: Site, transport: str, settings: dict, rests_on: list, not_on: list) -> None:
    section = Section(transport, adapters_for()[transport].listener_settings.model_validate(settings))
    before = basis_of(site, section)
    assert basis_of(replace(site, folder=Path("elsewhere")), section) == before
    for kind, name in rests_on:
        assert basis_of(changed(site, kind, name), section) != before, name
    for kind, name in not_on:
        assert basis_of(changed(site, kind, name), section) == before, name
