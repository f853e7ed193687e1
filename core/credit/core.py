"""The credit core, put together: its handlers by message type, its tables."""

from __future__ import annotations

from core.credit.commitments import release
from core.credit.deciding import Deciding
from core.credit.policy import CreditPolicy
from core.credit.tables import metadata
from core.unit_of_work import Core


def build(policy: CreditPolicy) -> Core:
    """Make the core."""
    deciding = Deciding(policy)
    return Core("credit", {
        "AuthorizeCredit": deciding.authorize,
        "ReleaseCredit": release,
        "BureauReport": deciding.reported,
        "Fault": deciding.unreachable,
        "BureauTimeout": deciding.silent,
    }, metadata)
