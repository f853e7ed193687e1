"""What operators do with a site's database while its gateway runs: backups, and the journal out and in."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.running import MmlClient, World, environment, field, retcode, uip, until_final, world

pytestmark = pytest.mark.timeout(180)


def run(*arguments: str | Path, cwd: Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(uip(*arguments), cwd=cwd, env=environment(**env), capture_output=True, input=stdin, timeout=120)


class Orders:
    """Orders that have been acknowledged: their ids by their requests."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.client = MmlClient(port)
        self.ids: dict[str, str] = {}

    def more(self, count: int = 1) -> None:
        for number in range(len(self.ids), len(self.ids) + count):
            digits = f"{ord(self.name)}{number:06}1"
            request = (f'ADD ORDER:EXTID="{self.name}-{number}",CUSTID="C1",CUSTNAME="Ann Lee",OFFER="mobile-basic",'
                       f'MSISDN="49170{digits}",IMSI="262010{digits}",MSGID="{self.name}-{number}";')
            answer = self.client.ask(request)
            assert retcode(answer) == 0
            self.ids[request] = field(answer, "id")

    def completed(self, order: str) -> None:
        assert field(until_final(self.client, order, 60), "state") == "completed"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with world(tmp_path_factory.mktemp("world")) as made:
        made.start()
        yield made


def test_the_journal_goes_out_and_in(running: World, tmp_path):
    assert running.gateway
    orders = Orders(running.gateway.port("mml"), "J")
    orders.more(2)
    for order in orders.ids.values():
        orders.completed(order)

    out = run("export", running.site, cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    assert {line["reply"]["id"] for line in lines if line["replyType"] == "ProductOrder"} == set(orders.ids.values())
    assert {line["address"] for line in lines} == {"orders", "credit", "provisioning", "billing"}
    assert b"49170" in out.stdout
    correlation = lines[0]["envelope"]["head"]["correlationId"]
    story = run("export", running.site, "--correlation", correlation, "--mask", cwd=tmp_path).stdout
    assert 10 < len(story.splitlines()) < len(lines)
    assert b"49170" not in story

    other = tmp_path / "other"
    shutil.copytree(running.site, other, ignore=shutil.ignore_patterns("data"))
    told = run("import", other, cwd=tmp_path, stdin=out.stdout)
    assert told.stdout.decode() == f"{len(lines)} rows added, 0 were there, 0 refused\n", told.stderr
    again = run("import", other, "--dry-run", cwd=tmp_path, stdin=b"{}\n" + out.stdout)
    assert again.returncode == 1
    assert again.stdout.decode() == f"0 rows would be added, {len(lines)} were there, 1 refused\n"
    assert again.stderr.startswith(b"line 1: address: ")


def test_a_backup_made_under_load_is_whole_and_goes_on(running: World, tmp_path):
    assert running.gateway
    orders = Orders(running.gateway.port("mml"), "B")
    orders.more(6)
    before = dict(orders.ids)
    copying = subprocess.Popen(uip("backup", running.site, "copy.db"), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE)
    while copying.poll() is None:
        orders.more()
        orders.completed(list(orders.ids.values())[-1])
    assert copying.returncode == 0, copying.stderr and copying.stderr.read()
    orders.more(3)
    later = run("export", running.site, "--type", "SubmitProductOrder", cwd=tmp_path).stdout
    (tmp_path / "later.jsonl").write_bytes(later)
    running.gateway.kill()
    assert [file.name for file in tmp_path.glob("copy.db*")] == ["copy.db"]

    shutil.rmtree(running.site / "data")
    (running.site / "data").mkdir()
    shutil.copy(tmp_path / "copy.db", running.site / "data" / "uip.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        kept = {order for (order,) in copy.execute("SELECT id FROM product_order")}
    assert set(before.values()) <= kept
    orders.client = client = MmlClient(running.start().port("mml"))
    for order in kept:
        orders.completed(order)
    for request, order in before.items():
        assert field(client.ask(request), "id") == order, "the key of an acknowledged order gives that order"

    # What was acknowledged after the backup is in the archive.
    sent = run("replay", running.site, "--file", "later.jsonl", "--send", cwd=tmp_path)
    assert sent.stdout.decode().endswith(f"{len(later.splitlines())} messages go out again\n"), sent.stderr
    lost = [json.loads(line) for line in later.splitlines() if json.loads(line)["reply"]["id"] not in kept]
    assert lost
    end = time.monotonic() + 30
    for line in lost:
        wanted = f'LST ORDER:EXTID="{line["envelope"]["body"]["externalId"]}";'
        while retcode(answer := client.ask(wanted)) != 0:  # outside programs can only ask again and again
            assert time.monotonic() < end, answer
            time.sleep(0.05)
        orders.completed(field(answer, "id"))
    client.close()
    with closing(sqlite3.connect(running.site / "data" / "uip.db")) as database:
        names = [name for (name,) in database.execute("SELECT external_id FROM product_order")]
    assert len(names) == len(set(names)), "each was done once"
