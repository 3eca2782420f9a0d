"""The ledger of credits, and the only writer of its rows.

Rule it guards: a balance is always exactly the sum of its completed entries, whatever races, is sent twice or dies.
"""

from rayces_core.credits.announcing import lifecycle
from rayces_core.credits.bulk import Row, debit_many, purchase_many
from rayces_core.credits.corrections import (
    give_back_at_no_show,
    refund_at_cancellation,
    settle_correction,
)
from rayces_core.credits.lines import Line
from rayces_core.credits.operations import adjust, complete, debit, fail, purchase, refund, transfer
from rayces_core.credits.packages import (
    OverdueLot,
    expire_lots,
    lots,
    open_lot_at_completion,
    overdue_lots,
    purchase_package,
)
from rayces_core.credits.policy import Policy, policy, use_policy
from rayces_core.credits.reading import Statement, available, balance, balances, statement
from rayces_core.credits.reserving import Reserving, UncoveredHold, reserve_holds, uncovered_holds
from rayces_core.credits.taking_back import take_back
from rayces_core.credits.verification import Discrepancy, Verification, verify
from rayces_core.credits.wiring import debit_at_confirmation

__all__ = [
    "Discrepancy",
    "Line",
    "OverdueLot",
    "Policy",
    "Reserving",
    "Row",
    "Statement",
    "UncoveredHold",
    "Verification",
    "adjust",
    "available",
    "balance",
    "balances",
    "complete",
    "debit",
    "debit_at_confirmation",
    "debit_many",
    "expire_lots",
    "fail",
    "give_back_at_no_show",
    "lifecycle",
    "lots",
    "open_lot_at_completion",
    "overdue_lots",
    "policy",
    "purchase",
    "purchase_many",
    "purchase_package",
    "refund",
    "refund_at_cancellation",
    "reserve_holds",
    "settle_correction",
    "statement",
    "take_back",
    "transfer",
    "uncovered_holds",
    "use_policy",
    "verify",
]
