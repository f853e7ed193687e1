"""What a network element says unasked, from its connection to the operator's list, by each protocol and on the console."""

from __future__ import annotations

import base64
import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.running import MmlClient, field, soap, world

pytestmark = pytest.mark.timeout(120)


def until(said: Callable[[], str], *wanted: str) -> str:
    end = time.monotonic() + 60
    while not all(text in (answer := said()) for text in wanted):
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return answer


def test_an_elements_alarm_is_listed_and_cleared(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.say_alarms("cpu-overload", "link-failure", "cpu-overload:after=0.05", "link-restored:after=0.1")
        gateway = made.start()
        mml = MmlClient(gateway.port("mml"))
        cleared = until(lambda: mml.ask("LST ALARM:STATE=cleared;"), "Link failure")
        assert "3302" in cleared
        standing = until(lambda: mml.ask("LST ALARM:;"), "CPU overload")
        assert "Link failure" not in standing
        assert "(Number of results = 1)" in standing, "what is said twice is one alarm"
        status, answer = soap(gateway.port("soap"), "<u:ListAlarms><u:sourceSystemId>hlr</u:sourceSystemId></u:ListAlarms>")
        assert status == 200
        (id_,) = re.findall(r"<(?:\w+:)?id>(AL\w+)</", answer)
        assert "CPU overload" in answer
        console = urllib.request.Request(gateway.addresses["console"], headers={
            "Authorization": "Basic " + base64.b64encode(b"admin:admin-secret").decode()})
        with urllib.request.urlopen(console) as page:
            assert id_ in page.read().decode()
        gateway.kill()

        gateway = made.start()
        mml = MmlClient(gateway.port("mml"))
        # The element begins anew for the new connection: what it repeats is the alarm that has survived.
        assert id_ in until(lambda: mml.ask("LST ALARM:;"), "CPU overload")
        assert field(mml.ask(f'CLR ALARM:ALARMID="{id_}";'), "clearUserId") == "crm"
        mml.close()
