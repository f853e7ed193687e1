"""The catalogue against the outside contract, and what is offered against what can be carried out."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from core.messages.base import BusinessObject, fields_named
from core.messages.catalogue import INTERNAL, OPERATIONS, Catalogue
from core.messages.failures import Failure, Kind
from tests.core.whole import cores

CONTRACT = """
SubmitProductOrder -> ProductOrder | ADD ORDER | externalId=EXTID relatedParty productOrderItem
GetProductOrder -> ProductOrder | LST ORDER | id=ORDERID externalId=EXTID
AmendProductOrder -> ProductOrder | MOD ORDER | id=ORDERID
CancelProductOrder -> CancelProductOrderTask | CNL ORDER | id=ORDERID cancellationReason=REASON
QualifyService -> ServiceQualification | CHK SERVICE | productOffering=OFFER place=PLACE serviceCharacteristic
AuthorizeCredit -> CreditDecision | CHK CREDIT | relatedParty amount=AMOUNT
SubmitRequest -> CustomerRequest | ADD REQUEST | relatedParty intent=INTENT
GetRequest -> CustomerRequest | LST REQUEST | id=REQUESTID
RecordInteraction -> Interaction | ADD CONTACT | relatedParty channel=CHANNEL direction=DIRECTION
ListInteractions -> Interactions | LST CONTACT | party=CUSTID
ListWork -> WorkOrders | LST WORK | specialty=SPECIALTY
CompleteWork -> WorkOrder | CMP WORK | id=WORKID outcome=OUTCOME
RecordUsage -> UsageAck | ADD USAGE | source=SOURCE usageId=USAGEID account=ACCOUNT usageDate=DATE usageType=TYPE quantity=QTY
RunBilling -> BillRun | RUN BILLING | cycleDate=CYCLEDATE
BillOnDemand -> CustomerBill | RUN BILL | account=ACCOUNT
GetBill -> CustomerBill | LST BILL | billNo=BILLNO
RecordPayment -> CustomerBills | ADD PAYMENT | account=ACCOUNT amount=AMOUNT reference=REF
OpenTicket -> TroubleTicket | ADD TICKET | relatedParty ticketType=TYPE disputedBill=BILLNO disputedItem
AmendTicket -> TroubleTicket | MOD TICKET | id=TICKETID
CancelTicket -> TroubleTicket | CNL TICKET | id=TICKETID
ConfirmTicket -> TroubleTicket | CFM TICKET | id=TICKETID
GetTicket -> TroubleTicket | LST TICKET | id=TICKETID
ApproveAdjustment -> Adjustment | CFM ADJUST | ticket=TICKETID amount=AMOUNT decision=DECISION
Subscribe -> Subscription | ADD SUBSCRIPTION | query=FILTER callback=CALLBACK
Unsubscribe -> Subscription | RMV SUBSCRIPTION | id=SUBSID
RunReport -> Report | RUN REPORT | name=REPORT periodStart=FROM periodEnd=TO
GetSystemStatus -> SystemStatus | DSP STATUS |
ReportAlarm -> Alarm | ADD ALARM | perceivedSeverity=SEVERITY externalAlarmId=EXTID specificProblem=PROBLEM sourceSystemId=SOURCE
ListAlarms -> Alarms | LST ALARM | sourceSystemId=SOURCE perceivedSeverity=SEVERITY state=STATE
ClearAlarm -> Alarm | CLR ALARM | id=ALARMID
"""
FOUNDATION = {"SubmitProductOrder", "GetProductOrder", "CancelProductOrder", "AuthorizeCredit", "QualifyService", "RecordUsage",
              "BillOnDemand"}


def rows():
    for line in CONTRACT.strip().splitlines():
        names, command, fields = (part.strip() for part in line.split("|"))
        request, reply = names.split(" -> ")
        yield request, reply, command, [field.partition("=") for field in fields.split()]


def test_every_row_of_the_contract_is_declared_once():
    assert [(o.name, o.reply.__name__, o.command) for o in OPERATIONS] == [row[:3] for row in rows()]
    assert len({o.command for o in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(("request_name", "fields"), [(row[0], row[3]) for row in rows()])
def test_what_a_request_must_carry_is_there_under_its_short_name(request_name, fields):
    operation = next(o for o in OPERATIONS if o.name == request_name)
    shorts = dict(fields_named(operation.request))
    for name, _, short in fields:
        assert name in shorts
        assert not short or shorts[name] == short
    assert len(set(shorts.values())) == len(shorts)


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for inner in [field.annotation, *getattr(field.annotation, "__args__", ())]:
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    models(inner, seen)
    return seen


def test_no_two_messages_have_one_name():
    everything: set[type[BaseModel]] = set()
    for model in (*INTERNAL, *(m for o in OPERATIONS for m in (o.request, o.reply))):
        models(model, everything)
    assert len({m.__name__ for m in everything}) == len(everything)
    assert all(issubclass(m, BusinessObject) for m in everything)


def test_only_what_is_offered_can_be_asked_for():
    catalogue = Catalogue(["GetProductOrder"])
    assert list(catalogue.operations) == ["GetProductOrder"]
    assert catalogue.operation("GetProductOrder") is catalogue.command("LST ORDER")
    for look in (lambda: catalogue.operation("OpenTicket"), lambda: catalogue.command("ADD TICKET")):
        with pytest.raises(Failure) as refused:
            look()
        assert refused.value.kind is Kind.UNKNOWN_OPERATION
    assert catalogue.model("TroubleTicket").__name__ == "TroubleTicket"  # what is stored can be read, offered or not


def test_each_core_handles_what_the_catalogue_says_is_its_own():
    catalogue = Catalogue([])
    handled = {}
    for core in cores():
        for name in core.handlers:
            assert catalogue.model(name).__name__ == name
        handled |= {o.name: o.core for o in OPERATIONS if o.name in core.handlers}
        assert all(o.core == core.name for o in OPERATIONS if o.name in core.handlers)
    assert set(handled) >= FOUNDATION
