"""One real order travels the whole way, by each protocol, and back."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from tests.end_to_end.running import MmlClient, World, element, field, json_lines, retcode, soap, submit_body, until_final, world

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        made.start()
        yield made


@pytest.fixture
def mml(running: World) -> Iterator[MmlClient]:
    client = MmlClient(running.gateway.port("mml"))
    yield client
    client.close()


def test_by_soap(running, mml):
    status, answer = soap(running.gateway.port("soap"), submit_body("S-1"))
    assert status == 200
    assert element(answer, "state") in {"acknowledged", "inProgress"}
    assert field(until_final(mml, element(answer, "id")), "state") == "completed"
    status, answer = soap(running.gateway.port("soap"), "<u:GetProductOrder><u:externalId>S-1</u:externalId></u:GetProductOrder>")
    assert (status, element(answer, "state")) == (200, "completed")
    for milestone in ("creditApproved", "serviceOrderIssued", "serviceActivated", "billingStarted"):
        assert milestone in answer


def test_by_zeep(running, mml):
    import requests
    import zeep
    session = requests.Session()
    session.auth = ("crm", "crm-secret")
    client = zeep.Client(f"http://127.0.0.1:{running.gateway.port('soap')}/soap?wsdl", transport=zeep.Transport(session=session))
    order = client.service.SubmitProductOrder(
        externalId="Z-1", relatedParty={"id": "C1", "name": "Ann Lee", "role": "customer"},
        productOrderItem=[{"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic"}])
    until_final(mml, order.id)
    done = client.service.GetProductOrder(id=order.id)
    assert done.state == "completed"
    assert done.productOrderItem[0].state == "completed"


def test_by_mml(running, mml):
    before = len(running.report("hlr"))
    answer = mml.ask('ADD ORDER:EXTID="M-1",CUSTID="C2",CUSTNAME="Bo Chan",OFFER="mobile-basic",MSISDN="4670000001",MSGID="K-M-1";')
    assert retcode(answer) == 0
    assert field(answer, "state") in {"acknowledged", "inProgress"}
    done = until_final(mml, field(answer, "id"))
    assert field(done, "state") == "completed"
    applied = running.report("hlr")[before:]
    assert len(applied) == 4
    assert "4670000001" in json.dumps(applied)


def test_one_and_the_same_order_gives_the_same_object_whichever_way_it_came(running, mml):
    answer = mml.ask('ADD ORDER:EXTID="SAME",CUSTID="C3",CUSTNAME="Ann Lee",OFFER="mobile-basic",MSGID="same-key";')
    assert retcode(answer) == 0
    status, again = soap(running.gateway.port("soap"), submit_body("SAME", customer="C3"), key="same-key")
    assert status == 200
    assert element(again, "id") == field(answer, "id")
    assert element(again, "orderDate")[:19] == field(answer, "orderDate")[:19]
    assert retcode(mml.ask('ADD ORDER:EXTID="OTHER",CUSTID="C3",CUSTNAME="Ann Lee",OFFER="mobile-basic",MSGID="same-key";')) == 1201


def test_a_bureau_s_refusal_rejects_and_touches_nothing(running, mml):
    imsi = "240019999999991"
    answer = mml.ask(f'ADD ORDER:EXTID="B-1",CUSTID="BAD1",CUSTNAME="Bad Payer",OFFER="mobile-basic",IMSI="{imsi}",ACCOUNT="A-BAD1";')
    done = until_final(mml, field(answer, "id"))
    assert field(done, "state") == "rejected"
    assert imsi not in json.dumps(running.report("hlr"))
    reserving = mml.ask(f'ADD ORDER:EXTID="B-1b",CUSTID="C8",CUSTNAME="Good Payer",OFFER="mobile-basic",IMSI="{imsi}";')
    assert field(until_final(mml, field(reserving, "id")), "state") == "completed", "the number had stayed reserved"
    assert retcode(mml.ask('RUN BILL:ACCOUNT="A-BAD1";')) == 1202


def test_the_first_charge_is_on_the_bill(running, mml):
    answer = mml.ask('ADD ORDER:EXTID="B-2",CUSTID="C5",CUSTNAME="Ann Lee",OFFER="mobile-basic",ACCOUNT="A-C5";')
    until_final(mml, field(answer, "id"))
    bill = mml.ask('RUN BILL:ACCOUNT="A-C5";')
    assert retcode(bill) == 0
    assert "10.00" in bill


def test_an_issued_bill_and_its_page_are_the_same_by_every_protocol_and_no_refusal_goes_uncounted(running, mml):
    answer = mml.ask('ADD ORDER:EXTID="B-3",CUSTID="C9",CUSTNAME="Ann Lee",OFFER="mobile-basic",ACCOUNT="A-C9";')
    until_final(mml, field(answer, "id"))
    run = mml.ask(f'RUN BILLING:CYCLEDATE="{datetime.now(UTC).date()}",ACCOUNT="A-C9";')
    assert (retcode(run), field(run, "billCount")) == (0, "1")
    number = re.search(r"BILL-\d{8}", run)[0]
    status, bill = soap(running.gateway.port("soap"), f"<u:GetBill><u:billNo>{number}</u:billNo></u:GetBill>")
    page = base64.b64decode(element(bill, "content"))
    assert status == 200
    assert hashlib.sha256(page).hexdigest() == element(bill, "sha256")
    assert f"<h1>Bill {number}</h1>".encode() in page
    by_mml = mml.ask(f'LST BILL:BILLNO="{number}";')
    assert field(by_mml, "billNo") == number
    assert element(bill, "sha256") in by_mml
    assert element(bill, "content") in by_mml
    assert field(mml.ask(f'RUN BILLING:CYCLEDATE="{datetime.now(UTC).date()}",ACCOUNT="A-C9";'), "billCount") == "0"
    mml.ask("FLY MOON:;")
    soap(running.gateway.port("soap"), "<u:Fly/>")
    figures = urllib.request.urlopen(f"http://127.0.0.1:{running.gateway.port('console')}/metrics", timeout=10).read().decode()
    for protocol in ("soap", "mml"):
        assert re.search(f'uip_requests_total{{operation="",outcome="unknownOperation",protocol="{protocol}"}} [1-9]', figures)


def test_an_order_for_later_waits(running, mml):
    answer = mml.ask('ADD ORDER:EXTID="L-1",CUSTID="C6",CUSTNAME="Ann Lee",OFFER="mobile-basic",STARTDATE="2099-01-01T00:00:00Z";')
    assert field(answer, "state") == "acknowledged"
    assert field(mml.ask('LST ORDER:EXTID="L-1";'), "state") == "acknowledged"
    cancelled = mml.ask(f'CNL ORDER:ORDERID="{field(answer, "id")}",REASON="changed my mind";')
    assert retcode(cancelled) == 0
    assert field(mml.ask('LST ORDER:EXTID="L-1";'), "state") == "cancelled"


@pytest.mark.parametrize(("ending", "state", "commands"), [("555", "completed", 4), ("444", "completed", 4), ("333", "completed", 4),
                                                           ("666", "failed", 0)])
def test_whatever_the_element_does_nothing_is_applied_twice(running, mml, ending, state, commands):
    imsi = f"24001000000{ending}"
    answer = mml.ask(f'ADD ORDER:EXTID="E-{ending}",CUSTID="C7",CUSTNAME="Ann Lee",OFFER="mobile-basic",IMSI="{imsi}";')
    done = until_final(mml, field(answer, "id"), 30)
    assert field(done, "state") == state, done
    assert len([c for c in running.report("hlr") if imsi in json.dumps(c)]) == commands


@pytest.mark.parametrize(("command", "code"), [
    ("FLY MOON:X=1;", 1003),
    ("ADD ORDER:EXTID=1;", 1002),
    ('ADD ORDER:EXTID="1",CUSTID="C",CUSTNAME="N",OFFER="no-such-offer";', 1002),
    ("ADD ORDER:EXTID==;", 1001),
    ('LST ORDER:ORDERID="nope";', 1202),
])
def test_bad_input_by_mml_is_answered_and_the_session_goes_on(mml, command, code):
    assert retcode(mml.ask(command)) == code
    assert retcode(mml.ask("DSP STATUS:;")) == 0


def test_without_login_nothing_is_done(running):
    client = MmlClient(running.gateway.port("mml"), login=False)
    assert retcode(client.ask('LST ORDER:ORDERID="x";')) == 1101
    assert retcode(client.ask('LGI:OPNAME="crm",PWD="wrong";')) == 1101
    client.close()


def test_a_party_may_only_do_what_it_may(running):
    client = MmlClient(running.gateway.port("mml"), login=False)
    client.ask('LGI:OPNAME="shop",PWD="shop-secret";')
    assert retcode(client.ask('RUN BILL:ACCOUNT="A-C5";')) == 1102
    client.close()


@pytest.mark.parametrize(("body", "party", "code"), [
    ("<u:NoSuch/>", ("crm", "crm-secret"), "Client.UnknownOperation"),
    ("<u:GetProductOrder><u:id>", ("crm", "crm-secret"), "Client.Malformed"),
    ("<u:GetProductOrder><u:id>x</u:id></u:GetProductOrder>", ("crm", "wrong"), "Client.Authentication"),
    ("<u:GetProductOrder><u:id>x</u:id></u:GetProductOrder>", ("crm", "crm-secret"), "Client.NotFound"),
    ("<u:GetProductOrder><u:idd>x</u:idd></u:GetProductOrder>", ("crm", "crm-secret"), "Client.Invalid"),
])
def test_bad_input_by_soap_gets_its_fault(running, body, party, code):
    status, answer = soap(running.gateway.port("soap"), body, party=party)
    assert status in {400, 401, 500}
    assert element(answer, "faultcode").endswith(code)
    assert "Traceback" not in answer


def test_a_peer_that_vanishes_or_sends_rubbish_disturbs_nobody(running, mml):
    for rubbish in (b"\x00" * 1000, b"ADD ORDER:" + b"A" * 3_000_000, b'LGI:OPNAME="'):
        other = MmlClient(running.gateway.port("mml"), login=False)
        with suppress(OSError):
            other.socket.sendall(rubbish)
        other.close()
    assert retcode(mml.ask("DSP STATUS:;")) == 0


def test_the_log_holds_no_secret(running):
    log = running.folder / "gateway.log"
    assert json_lines(log), "every line is JSON"
    assert "crm-secret" not in log.read_text()
    assert "240010000000" not in log.read_text()
