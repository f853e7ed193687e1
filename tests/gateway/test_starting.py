"""What a command does not use it does not load: importing is most of what a start takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = "from contextlib import suppress\nfrom gateway.__main__ import main\nwith suppress(SystemExit):\n    main({})"


def loaded(source: str) -> set[str]:
    """Run Python source in a new interpreter; returns the top-level packages it has imported in the end."""
    tell = "\nimport sys\nprint('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", source + tell], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return set(ran.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(("arguments", "may"), [
    (["--help"], set()), (["serve", "--help"], set()), (["sim", "--help"], set()), (["init", "new"], {"pydantic", "yaml"}),
])
def test_what_serves_no_site_loads_none_of_its_parts(tmp_path, arguments, may):
    arguments = [str(tmp_path / a) if a == "new" else a for a in arguments]
    assert loaded(COMMAND.format(arguments)) & {"twisted", "pydantic", "sqlalchemy", "lxml", "yaml"} <= may


def test_a_database_that_is_as_new_as_the_program_needs_no_alembic(tmp_path):
    url = f"sqlite:///{tmp_path}/data/uip.db"
    source = f"from adapters.store.engine import open_engine\nfrom adapters.store.migrations import upgrade\nupgrade(open_engine({url!r}))"
    assert "alembic" in loaded(source)
    assert "alembic" not in loaded(source)


def test_partners_contracts_need_no_spyne():
    assert loaded("import adapters.soap.simulator, adapters.soap.connector") & {"spyne", "zeep"} == {"zeep"}
