"""What is installed is exactly our six packages, with the data files they need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"gateway", "adapters", "plugins", "config", "protocols", "core"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: the build leaves things beside setup.cfg. What is not ours stays out of it, so that it cannot be found by luck.
    source = folder / "source"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "node_modules")
    shutil.copytree(ROOT, source, ignore=left_out)
    (source / "stray").mkdir()
    (source / "stray" / "__init__.py").touch()
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet",
                    "--wheel-dir", folder, source], check=True, capture_output=True, text=True)
    made, = folder.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        return archive.namelist()


def test_a_wheel_ships_exactly_our_six_packages(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_a_wheel_ships_every_module_and_every_data_file(wheel):
    wanted = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*")
              if path.is_file() and not {"__pycache__", "examples"} & set(path.relative_to(ROOT).parts) and path.suffix != ".md"}
    assert wanted - set(wheel) == set()
