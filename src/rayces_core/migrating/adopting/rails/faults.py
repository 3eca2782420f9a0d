"""Rows that do not fit: where they are noted while rows are planned, and what is found of them.

Rule it guards: nothing is left out or changed for which there is no choice, and `rayces_set_aside` keeps each such row
whole, as the old application wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayces_core.migrating.adopting.finding import CHOICES, Finding, answered, choice
from rayces_core.migrating.adopting.rails.old import TABLES, Old
from rayces_core.migrating.myhub import SET_ASIDE
from rayces_core.migrations.session import MigrationDatabase

EXAMPLES = 5
NOTED = "rayces_faults"
# Kind → what was found, and what the choices do.
WORDS: dict[str, tuple[str, str]] = {
    "missing-organization": (
        "belong to no organization",
        "they can be moved to rayces_set_aside with what hangs on them, or get an organization of their own, MyHub",
    ),
    "other-organizations": (
        "refer to a row of another organization",
        "such a reference is emptied where it may be empty; else the row is moved to rayces_set_aside",
    ),
    "orphans": (
        "refer to a row that does not exist",
        "such a reference is emptied where it may be empty; else the row is moved to rayces_set_aside",
    ),
    "missing-author": ("have no author", "they can be moved to rayces_set_aside with their likes"),
    "missing-emails": ("have no e-mail address", "they can be given user-<id>@myhub.invalid"),
    "emails": (
        "have the e-mail address of an older user of the organization once spaces and case are set aside",
        "the older one keeps it, the other is given name+<id>@host",
    ),
    "repeated-likes": ("repeat an older one of the same user and post", "they can be moved to rayces_set_aside"),
    "subdomains": (
        "have a subdomain that is none (small letters, digits, inner hyphens, at most 63, not taken)",
        "it can be brought to one",
    ),
    "blank-names": ("have a blank name", "it can be given: Organization <id>, or (no name)"),
    "unknown-roles": ("have a role that is none of 0 to 3", "they can become guardians, who may do least"),
    "unknown-values": (
        "have a time zone, currency or sign-in address that is none, or a token that another user has",
        "it can be replaced by what a new row has",
    ),
    "numbers": (
        "have a length, buffer or price that this library does not know (15 to 480 minutes, 0 to 1440, from 0)",
        "the nearest that it knows can take its place",
    ),
    "shapes": (
        "have JSON that is not of this library's shape (see docs/models.md)",
        "what fits can be taken, and the row as it was be kept in rayces_set_aside",
    ),
    "dates": ("were discharged before they were admitted", "the discharge date can be emptied"),
    "states": (
        "are in a state that this library does not know",
        "they can begin anew (draft, prospect; a payment counts as failed), or be moved to rayces_set_aside",
    ),
    "moments": (
        "lack the moment of their state, or have one of another",
        "it can be derived from created_at, updated_at and scheduled_at",
    ),
    "starts": ("begin within a minute", "they can begin with that minute"),
    "overlaps": (
        "take time that the same professional has given to another one",
        "the later or less certain one can be cancelled, or moved to rayces_set_aside",
    ),
    "missing-profiles": (
        "are with a user who has no professional profile",
        "one can be made, inactive; or they can be moved to rayces_set_aside",
    ),
    "negative-balances": ("are below zero", "they can become zero"),
    "repeated-balances": ("are the second one of their user", "they can be added to the first"),
    "ledger": (
        "are not the sum of their completed entries, or were below zero on the way",
        "an opening entry can say the difference",
    ),
    "entries": (
        "cannot be the entry that they say (sign, type, appointment, a second debit, a refund without one)",
        "they can stay in the sum as an adjustment, saying what they were; of zero credits they are set aside",
    ),
    "payments": (
        "repeat the reference of a payment that counts already",
        "they can stay in the sum, and keep the reference in their metadata",
    ),
    "owners": ("name another user than their balance's", "they can go to the balance's user"),
}


def noted(table: str, kind: str, condition: str, reason: str, act: str = "changed", source: str = "") -> str:
    """The statement that notes the rows `p` of a planned table that meet a condition.

    Args:
        act: changed, or aside for a row that leaves.
        reason: an expression.
    """
    return _noting(table, f"'{kind}'", condition, reason, act, source)


def noted_gone(table: str) -> str:
    """The statement that notes every planned row that leaves its table."""
    return _noting(table, "p.gone", "p.gone IS NOT NULL", "p.why", "aside")


def _noting(table: str, kind: str, condition: str, reason: str, act: str, source: str = "") -> str:
    return (
        f"INSERT INTO {NOTED} SELECT '{table}', p.id, {kind}, '{act}', {reason} "
        f"FROM {source or f'plan_{table}'} AS p WHERE {condition}"
    )


def table_of_faults() -> str:
    """The statement that makes the table they are noted in."""
    return (
        f"CREATE TEMP TABLE {NOTED} (tbl text NOT NULL, id bigint NOT NULL, kind text NOT NULL, act text NOT NULL, "
        "why text) ON COMMIT DROP"
    )


def found(database: MigrationDatabase, choices: Mapping[str, str]) -> Iterator[Finding]:
    """What was noted, a finding for each kind and table."""
    rows = database.execute_sql(
        f"SELECT kind, tbl, count(DISTINCT id), (array_agg(DISTINCT id ORDER BY id))[1:{EXAMPLES}] FROM {NOTED} "
        "GROUP BY kind, tbl ORDER BY kind, array_position(%s, tbl)",
        (list(TABLES),),
    ).fetchall()
    for kind, table, count, examples in rows:
        what, does = WORDS[kind]
        finding = choice(kind, f"{count} {table} {what}", does, count=count, examples=tuple(examples))
        if choices.get(kind) in UNABLE.get(kind, ()):
            yield _unable(finding, choices[kind])
        else:
            yield from answered([finding], choices)


# What may be chosen for a MyHub and not here.
UNABLE = {"emails": ("merge",), "missing-author": ("nullable",)}


def _unable(finding: Finding, word: str) -> Finding:
    others = " or ".join(f"--fix {finding.kind}={each}" for each in CHOICES[finding.kind] if each != word)
    advice = f"{finding.kind}={word} is for a MyHub of one organization; choose {others}"
    return Finding(finding.kind, "refusal", finding.what, advice, finding.count, finding.examples)


def keeping(old: Old) -> Iterator[str]:
    """The statements that keep each such row whole, with every reason."""
    for table in old.columns:
        yield (
            f'INSERT INTO {SET_ASIDE} (table_name, "row", reason) '
            f"SELECT '{table}', to_jsonb(o), f.why FROM {old.path(table)} AS o JOIN ("
            "SELECT id, string_agg(DISTINCT kind || ': ' || why, '; ') AS why "
            f"FROM {NOTED} WHERE tbl = '{table}' GROUP BY id) AS f ON f.id = o.id ORDER BY o.id"
        )
