"""The demo site's catalogue is one the cores can carry out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from core.billing.catalog import Tariff
from core.billing.core import build as build_billing
from core.provisioning.catalog import Pool, Recipe
from core.provisioning.core import build as build_provisioning

CATALOG = Path(__file__).parents[3] / "config/site/demo/catalog"


def entries(name: str, model: Any) -> dict[str, Any]:
    data = yaml.safe_load((CATALOG / f"{name}.yaml").read_text())[name]
    return {entry["id"]: model.model_validate(entry) for entry in data}


def test_the_demo_catalogue_fits_together() -> None:
    recipes, pools, tariffs = entries("recipes", Recipe), entries("pools", Pool), entries("tariffs", Tariff)
    build_provisioning(recipes, pools)
    build_billing(tariffs)
    assert set(recipes) == set(tariffs) == {"mobile-basic", "mobile-plus"}
    assert len(recipes["mobile-basic"].work) == 4
    assert {pools["imsi"].value(n)[-1] for n in (0, 33, 44, 55, 66, pools["imsi"].size - 1)} == {"1"}
    assert all(pool.value(n) in pool for pool in pools.values() for n in (0, pool.size - 1))
