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
    assert spyne.const.MIN_GC_INTERVAL > 1e9  # seconds
    assert not logging.getLogger("spyne.protocol.xml.invalid").isEnabledFor(logging.ERROR)


def test_whoever_imports_spyne_mends_it_first():
    files = [f for folder in ("adapters", "core", "gateway", "plugins", "protocols", "config") for f in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    for file in files:
        text = file.read_text()
        if file.name != "spyne_compat.py" and ("from spyne" in text or "import spyne\n" in text):
            assert "spyne_compat" in text.partition("from spyne")[0], file
