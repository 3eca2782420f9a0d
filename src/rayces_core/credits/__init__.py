"""The ledger of credits, and the only writer of its rows.

Rule it guards: a balance is always exactly the sum of its completed entries, whatever races, is sent twice or dies.
"""

from rayces_core.credits.announcing import lifecycle
from rayces_core.credits.bulk import Row, debit_many, purchase_many
from rayces_core.credits.corrections import (
    give_back_at_no_show,
    give_back_what_was_taken_again,
    settle_correction,
)
from rayces_core.credits.lines import Line
from rayces_core.credits.operations import adjust, complete, debit, fail, purchase, refund, transfer
from rayces_core.credits.policy import Policy, policy, use_policy
from rayces_core.credits.reading import Statement, balance, statement
from rayces_core.credits.verification import Discrepancy, Verification, verify
from rayces_core.credits.wiring import debit_at_confirmation, refund_at_cancellation

__all__ = [
    "Discrepancy",
    "Line",
    "Policy",
    "Row",
    "Statement",
    "Verification",
    "adjust",
    "balance",
    "complete",
    "debit",
    "debit_at_confirmation",
    "debit_many",
    "fail",
    "give_back_at_no_show",
    "give_back_what_was_taken_again",
    "lifecycle",
    "policy",
    "purchase",
    "purchase_many",
    "refund",
    "refund_at_cancellation",
    "settle_correction",
    "statement",
    "transfer",
    "use_policy",
    "verify",
]
