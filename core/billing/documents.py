"""A bill as people read it: HTML made of the issued bill. A template formats and never calculates: every figure is the bill's own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from html import escape
from zoneinfo import ZoneInfo

from core.billing.objects import BillDocument, CustomerBill
from core.messages.base import Money

TEMPLATE = "bill-html-1"
"""Goes up with every change that alters a byte: what was issued stays as it is, and says what made it."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Bill {number}</title>
<style>body{{font-family:sans-serif;max-width:50em;margin:2em auto}}table{{border-collapse:collapse;width:100%;margin:1em 0}}
th,td{{padding:.3em .6em;border-bottom:1px solid #ccc;text-align:left}}.n{{text-align:right}}</style>
</head>
<body>
<h1>Bill {number}</h1>
<p>{name} ({party})<br>Account {account}<br>Issued {issued}<br>Period {first} to {last}</p>
<table>
<tr><th>Charge</th><th>Period</th><th class="n">Tax rate</th><th class="n">Net ({unit})</th></tr>
{charges}
</table>
<table>
<tr><th>Tax</th><th class="n">Rate</th><th class="n">Net ({unit})</th><th class="n">Tax ({unit})</th></tr>
{taxes}
</table>
<table>
<tr><td>Net</td><td class="n">{net}</td></tr>
<tr><td>Tax</td><td class="n">{tax}</td></tr>
<tr><td>Total</td><td class="n">{gross}</td></tr>
<tr><th>Amount due</th><th class="n">{due}</th></tr>
</table>
</body>
</html>"""


def html(bill: CustomerBill, zone: ZoneInfo) -> bytes:
    """Write an issued bill as a page; `zone` is where its days are days. The same bill gives the same bytes."""
    charges = (_row(c.name, _days(c.periodStart, c.periodEnd, zone), f"{c.taxRate} %", _amount(c.taxExcludedAmount))
               for c in bill.appliedCharge)
    taxes = (_row(t.taxCategory, f"{t.taxRate} %", _amount(t.taxExcludedAmount), _amount(t.taxAmount)) for t in bill.taxItem)
    return _PAGE.format(
        number=escape(bill.billNo or "(preview)"), name=escape(bill.relatedParty.name), party=escape(bill.relatedParty.id),
        account=escape(bill.account), issued=_day(bill.billDate, zone), first=_day(bill.periodStart, zone),
        last=_day(bill.periodEnd - timedelta(microseconds=1), zone), unit=bill.amountDue.unit, charges=_lines(charges),
        taxes=_lines(taxes), **{name: f"{money.unit} {_amount(money)}" for name, money in (
            ("net", bill.taxExcludedAmount), ("tax", bill.taxAmount), ("gross", bill.taxIncludedAmount), ("due", bill.amountDue))},
    ).encode()


def documents(bill: CustomerBill, zone: ZoneInfo, identifier: str) -> tuple[BillDocument, ...]:
    """Make the documents of an issued bill, once and for all."""
    content = html(bill, zone)
    return (BillDocument(id=identifier, name=f"{bill.billNo}.html", mimeType="text/html", template=TEMPLATE, size=len(content),
                         sha256=sha256(content).hexdigest(), content=content),)


def _lines(rows: Iterable[str]) -> str:
    return "\n".join(rows)


def _row(first: str, second: str, *figures: str) -> str:
    return (f"<tr><td>{escape(first)}</td><td>{escape(second)}</td>"
            + "".join(f'<td class="n">{escape(figure)}</td>' for figure in figures) + "</tr>")


def _amount(money: Money) -> str:
    return format(money.value, "f")


def _day(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).date().isoformat()


def _days(start: datetime | None, end: datetime | None, zone: ZoneInfo) -> str:
    if start is None or end is None:
        return ""
    return f"{_day(start, zone)} to {_day(end - timedelta(microseconds=1), zone)}"
