"""Runs `uip` and kills the process without warning just before, or just after, its n-th group commit.

    python -m tests.end_to_end.killing before|after N serve SITE
"""

from __future__ import annotations

import os
import signal
import sys

from adapters.store import batch
from gateway.__main__ import main

when, number = sys.argv[1], int(sys.argv[2])
begun = 0
really = batch.commit


def commit(*arguments):
    global begun
    begun += 1
    if when == "before" and begun == number:
        os.kill(os.getpid(), signal.SIGKILL)
    result = really(*arguments)
    if when == "after" and begun == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


batch.commit = commit
sys.exit(main(sys.argv[3:]))
