"""What the conditions of policies mean: each is put beside the one it should be, by the server itself.

The server plans both over columns of the table's names and types, as EXPLAIN does without running anything, and what it
prints of the two plans is compared. So neither the spelling of a condition matters nor how this version, this session
or a dump has printed it; and nothing is written, which also a replica that only reads allows. A condition that calls or
reads what somebody made is none of those that are looked for, and is not planned: planning may run it.
"""

from __future__ import annotations

import json
from typing import Any, Final

import psycopg2

from rayces_core.migrations import readers

BOUND_TENANT: Final = "nullif(current_setting('rayces.organization_id', true), '')::bigint"
LOOKED_UP: Final = (
    "subdomain = nullif(current_setting('rayces.lookup', true), '') "
    "AND nullif(current_setting('rayces.organization_id', true), '') IS NULL"
)
# Table → which of its rows may still be changed.
OPEN: Final = {"credit_transactions": "status = 'pending'", "invoices": "state = 'draft'"}
# SQL of the same by the name of a table, in `{name}`.
OPEN_OF: Final = (
    "CASE {name} "
    + " ".join("WHEN '{}' THEN '{}'".format(table, condition.replace("'", "''")) for table, condition in OPEN.items())
    + " END"
)
ERASING: Final = "current_setting('rayces.erasing', true) = 'on'"

# What a condition may be, by the word that the checks know it by; {key} is the column that says whose a row is.
_KNOWN: Final = {
    "tenant": "{key} = " + BOUND_TENANT,
    "tenant-pending": "{key} = " + BOUND_TENANT + " AND {pending}",
    "pending": "{pending}",
    "erasing": ERASING,
    "lookup": LOOKED_UP,
    "true": "true",
}
_OTHER: Final = "other"
_BARE: Final = " bare"  # another wording of the word before it

# A tenant's table has an organization_id, or is organizations itself. OFFSET 0 keeps the planner from looking inside.
_POLICIES: Final = f"""
SELECT p.oid, pg_get_expr(p.polqual, p.polrelid) AS using_, pg_get_expr(p.polwithcheck, p.polrelid) AS check_,
       CASE WHEN p.polrelid = to_regclass('organizations') THEN 'id' ELSE 'organization_id' END AS key,
       coalesce({OPEN_OF.format(name="c.relname")}, 'false') AS pending,
       format('(SELECT %s OFFSET 0) AS %I', string_agg(
              format('NULL::%s AS %I', format_type(a.atttypid, a.atttypmod), a.attname), ', ' ORDER BY a.attnum),
              c.relname) AS row,
       string_agg(format('%s %I', format_type(a.atttypid, a.atttypmod), a.attname), ', ' ORDER BY a.attnum)
           FILTER (WHERE EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                                    AND d.refobjid = p.polrelid AND d.refobjsubid = a.attnum)) AS reads,
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                  AND d.refobjid <> p.polrelid) AS calls_others
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_attribute a ON a.attrelid = p.polrelid
 WHERE a.attnum > 0 AND NOT a.attisdropped
 GROUP BY p.oid, c.oid
HAVING p.polrelid = to_regclass('organizations') OR bool_or(a.attname = 'organization_id')
"""


def conditions(app_role: str, admin_role: str) -> dict[str, str]:
    """What a condition may be, by the word that the checks know it by."""
    binders = readers.binders(app_role, admin_role)
    # The usual ones first: each word is planned only where those before it are not what the condition means.
    usual = {"tenant": _KNOWN["tenant"], "true": _KNOWN["true"], "reader": readers.held("{key}", binders)}
    # Citus takes no sub-select in a policy, so `rayces citus distribute` writes the same without its SELECT.
    bare = usual["reader"].replace("(SELECT CASE", "(CASE")
    return {**usual, **_KNOWN, "reader-lookup": readers.looked_up(binders), f"reader{_BARE}": bare}


def meanings(cursor: Any, known: dict[str, str]) -> str:
    """What `using_` and `check_` of each policy mean, as a JSON array of records for the facts of the checks.

    A meaning is one of the `known` words, "other", or null where the policy has no such condition.
    """
    cursor.execute(_POLICIES)
    policies, words = cursor.fetchall(), _Words(cursor, known)
    cursor.execute("SAVEPOINT rayces_condition")
    found = [
        {
            "policy": policy["oid"],
            "using_": words.word(policy["using_"], policy),
            "check_": words.word(policy["check_"], policy),
        }
        for policy in policies
    ]
    cursor.execute("ROLLBACK TO SAVEPOINT rayces_condition; RELEASE SAVEPOINT rayces_condition")
    return json.dumps(found)


class _Words:
    """Finds the word for a condition; what is printed alike and reads columns of the same types is planned once."""

    def __init__(self, cursor: Any, known: dict[str, str]) -> None:
        self._cursor, self._known = cursor, known
        self._plans: dict[tuple[str, str], Any] = {}
        self._words: dict[tuple[Any, ...], str] = {}

    def word(self, condition: str | None, policy: Any) -> str | None:
        if condition is None:
            return None
        alike = (condition, *(policy[fact] for fact in ("reads", "key", "pending", "calls_others")))
        if alike not in self._words:
            self._words[alike] = self._found(condition, policy)
        return self._words[alike]

    def _found(self, condition: str, policy: Any) -> str:
        plan = None if policy["calls_others"] else self._plan(condition, policy["row"])
        if plan is None:
            return _OTHER
        texts = (
            (word, text.format(key=policy["key"], pending=policy["pending"])) for word, text in self._known.items()
        )
        known = ((word, self._plan(text, policy["row"])) for word, text in texts)
        return next((word.removesuffix(_BARE) for word, expected in known if expected == plan), _OTHER)

    def _plan(self, condition: str, row: str) -> Any:
        """What the server makes of the condition over that row; None where it cannot read it there."""
        if (condition, row) not in self._plans:
            self._plans[condition, row] = self._explained(condition, row)
        return self._plans[condition, row]

    def _explained(self, condition: str, row: str) -> Any:
        try:
            # Back to the savepoint first, so that each condition takes one message, whatever became of the last.
            self._cursor.execute(
                "ROLLBACK TO SAVEPOINT rayces_condition; "
                f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) SELECT ({condition}) AS held FROM {row}"
            )
            return next(iter(self._cursor.fetchone().values()))[0]["Plan"]
        except psycopg2.Error:
            return None
