"""The one catalogue: every request a party can make, its reply, and every message that only travels inside.

The native SOAP contract, the native MML commands and the native AMQP messages are all derived from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.billing import invoice_objects as invoices
from core.billing import objects as billing
from core.credit import objects as credit
from core.messages.base import BusinessObject
from core.messages.failures import Failure, Fault, Kind
from core.monitor import alarm_objects as alarms
from core.monitor import objects as monitor
from core.orders import contact_objects as contacts
from core.orders import objects as orders
from core.orders import ticket_objects as tickets
from core.provisioning import objects as provisioning
from core.provisioning import work_objects as work


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the outside contract. `command` is its name where names are verb and object (ITU-T Z.315);
    a `query` changes nothing, so it is neither journalled nor stored under an idempotency key.
    """

    request: type[BusinessObject]
    reply: type[BusinessObject]
    command: str
    core: str
    query: bool = False

    @property
    def name(self) -> str:
        """The operation's name: that of its request."""
        return self.request.__name__


OPERATIONS: tuple[Operation, ...] = (
    Operation(orders.SubmitProductOrder, orders.ProductOrder, "ADD ORDER", "orders"),
    Operation(orders.GetProductOrder, orders.ProductOrder, "LST ORDER", "orders", query=True),
    Operation(orders.AmendProductOrder, orders.ProductOrder, "MOD ORDER", "orders"),
    Operation(orders.CancelProductOrder, orders.CancelProductOrderTask, "CNL ORDER", "orders"),
    Operation(provisioning.QualifyService, provisioning.ServiceQualification, "CHK SERVICE", "provisioning"),
    Operation(credit.AuthorizeCredit, credit.CreditDecision, "CHK CREDIT", "credit"),
    Operation(contacts.SubmitRequest, contacts.CustomerRequest, "ADD REQUEST", "orders"),
    Operation(contacts.GetRequest, contacts.CustomerRequest, "LST REQUEST", "orders", query=True),
    Operation(contacts.RecordInteraction, contacts.Interaction, "ADD CONTACT", "orders"),
    Operation(contacts.ListInteractions, contacts.Interactions, "LST CONTACT", "orders", query=True),
    Operation(work.ListWork, work.WorkOrders, "LST WORK", "provisioning", query=True),
    Operation(work.CompleteWork, work.WorkOrder, "CMP WORK", "provisioning"),
    Operation(billing.RecordUsage, billing.UsageAck, "ADD USAGE", "billing"),
    Operation(invoices.RunBilling, invoices.BillRun, "RUN BILLING", "billing"),
    Operation(billing.BillOnDemand, billing.CustomerBill, "RUN BILL", "billing", query=True),
    Operation(invoices.GetBill, billing.CustomerBill, "LST BILL", "billing", query=True),
    Operation(invoices.RecordPayment, invoices.CustomerBills, "ADD PAYMENT", "billing"),
    Operation(tickets.OpenTicket, tickets.TroubleTicket, "ADD TICKET", "orders"),
    Operation(tickets.AmendTicket, tickets.TroubleTicket, "MOD TICKET", "orders"),
    Operation(tickets.CancelTicket, tickets.TroubleTicket, "CNL TICKET", "orders"),
    Operation(tickets.ConfirmTicket, tickets.TroubleTicket, "CFM TICKET", "orders"),
    Operation(tickets.GetTicket, tickets.TroubleTicket, "LST TICKET", "orders", query=True),
    Operation(invoices.ApproveAdjustment, invoices.Adjustment, "CFM ADJUST", "billing"),
    Operation(monitor.Subscribe, monitor.Subscription, "ADD SUBSCRIPTION", "monitor"),
    Operation(monitor.Unsubscribe, monitor.Subscription, "RMV SUBSCRIPTION", "monitor"),
    Operation(monitor.RunReport, monitor.Report, "RUN REPORT", "monitor", query=True),
    Operation(monitor.GetSystemStatus, monitor.SystemStatus, "DSP STATUS", "monitor", query=True),
    Operation(alarms.ReportAlarm, alarms.Alarm, "ADD ALARM", "monitor"),
    Operation(alarms.ListAlarms, alarms.Alarms, "LST ALARM", "monitor", query=True),
    Operation(alarms.ClearAlarm, alarms.Alarm, "CLR ALARM", "monitor"),
)
"""Every row of the outside contract. A gateway offers those that its cores can carry out (see `Catalogue`)."""

INTERNAL: tuple[type[BusinessObject], ...] = (
    Fault,
    orders.StartProductOrder,
    orders.ProductOrderCreateEvent,
    orders.ProductOrderStateChangeEvent,
    credit.ReleaseCredit,
    credit.CreditDecisionEvent,
    credit.QueryBureau,
    credit.BureauTimeout,
    credit.BureauReport,
    provisioning.SubmitServiceOrder,
    provisioning.ServiceOrder,
    provisioning.ServiceOrderStateChangeEvent,
    provisioning.ServiceOrderMilestoneEvent,
    provisioning.ServiceOrderJeopardyEvent,
    provisioning.ContinueServiceOrder,
    provisioning.ExpireReservation,
    provisioning.CancelServiceOrder,
    provisioning.CancelServiceOrderTask,
    provisioning.ResourceCommand,
    provisioning.ResourceCommandResult,
    billing.StartProductBilling,
    billing.StopProductBilling,
    billing.ProductBilling,
    invoices.ContinueBillRun,
    invoices.BillAccount,
    alarms.ForgetAlarm,
    alarms.AlarmCreateEvent,
    alarms.AlarmAttributeValueChangeEvent,
    alarms.AlarmStateChangeEvent,
)
"""Messages between cores and connectors, and events."""


class Catalogue:
    """Looks operations and messages up; holds only those operations that are `offered`."""

    def __init__(self, offered: Iterable[str], operations: Iterable[Operation] = OPERATIONS,
                 internal: Iterable[type[BusinessObject]] = INTERNAL) -> None:
        wanted = set(offered)
        everything = tuple(operations)
        self.operations: Mapping[str, Operation] = {o.name: o for o in everything if o.name in wanted}
        self._commands = {o.command: o for o in self.operations.values()}
        self._models: dict[str, type[BusinessObject]] = {m.__name__: m for m in internal}
        for o in everything:
            self._models[o.name] = o.request
            self._models[o.reply.__name__] = o.reply

    def operation(self, name: str) -> Operation:
        """Find an operation by its request's name. Raises Failure(UNKNOWN_OPERATION)."""
        try:
            return self.operations[name]
        except KeyError:
            raise Failure(Kind.UNKNOWN_OPERATION, f"unknown operation {name}") from None

    def command(self, command: str) -> Operation:
        """Find an operation by its verb and object, in capitals. Raises Failure(UNKNOWN_OPERATION)."""
        try:
            return self._commands[command]
        except KeyError:
            raise Failure(Kind.UNKNOWN_OPERATION, f"unknown command {command}") from None

    def model(self, type_name: str) -> type[BusinessObject]:
        """Find the class of a message by its type name. Raises KeyError."""
        return self._models[type_name]
