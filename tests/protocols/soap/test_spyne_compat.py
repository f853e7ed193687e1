"""spyne loads on this Python, and its habits that hurt are off. (`make test-all` runs this on each Python.)"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_loads_in_a_fresh_process_without_a_warning():
    ran = subprocess.run([sys.executable, "-W", "error", "-c", "import protocols.soap.spyne_compat as s; s.complex_type('A', 'urn:a', [])"],
                         cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_no_collection_in_mid_request_and_no_bad_request_in_the_log():
    import spyne.const

    import protocols.soap.spyne_compat  # noqa: F401  # what it sets is looked at
    assert spyne.const.MIN_GC_INTERVAL == float("inf")
    assert not logging.getLogger("spyne.protocol.xml.invalid").isEnabledFor(logging.ERROR)


def test_nobody_else_imports_spyne():
    others = [file for folder in ("adapters", "core", "gateway", "plugins", "protocols", "config") for file in (ROOT / folder).rglob("*.py")
              if file.name != "spyne_compat.py"]
    assert len(others) > 50
    for file in others:
        text = file.read_text()
        assert "import spyne\n" not in text, file
        assert "from spyne" not in text, file
