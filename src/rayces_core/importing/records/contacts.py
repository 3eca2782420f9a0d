"""The people to contact in a student's row: their name, e-mail address and phone make the user who is not there yet.

Rule it guards: a user is made once however many rows name it, and of one that is there nothing is changed: a row that
says another name or phone is refused.
"""

from __future__ import annotations

from typing import Any, Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.names import TWO_COLUMNS, whole_name
from rayces_core.importing.record import fault, folded, quoted
from rayces_core.importing.records.people import key_of

KINDS: Final = ("primary_contact", "secondary_contact")


def contact_name(value: Any, reading: Reading) -> str:
    """Read the whole name of a contact; one with a comma is last, comma, first name."""
    written = values.text(value, reading)
    return ", ".join(whole_name(written, reading)) if "," in written or "@" in written else written


def _columns(kind: str) -> tuple[Column, ...]:
    return (
        Column(
            f"{kind}_name",
            contact_name,
            about="The whole name of the contact; with the e-mail address it makes the user.",
        ),
        Column(f"{kind}_first_name", values.name, about="The first name of the contact."),
        Column(f"{kind}_last_name", values.name, about="The last name of the contact."),
        Column(f"{kind}_phone", values.phone, about="The phone of the contact."),
    )


CONTACT_COLUMNS: Final = tuple(column for kind in KINDS for column in _columns(kind))
CONTACT_NAMES: Final = tuple(column.name for column in CONTACT_COLUMNS)


def _first(kind: str) -> str:
    return f"coalesce(s.{kind}_first_name, nullif(split_part(s.{kind}_name, ', ', 2), ''))"


def _last(kind: str) -> str:
    return (
        f"coalesce(s.{kind}_last_name, CASE WHEN strpos(s.{kind}_name, ',') > 0 "
        f"THEN split_part(s.{kind}_name, ', ', 1) END)"
    )


def _details(kind: str) -> str:
    return f"coalesce(s.{kind}_name, s.{kind}_first_name, s.{kind}_last_name, s.{kind}_phone)"


def _earliest(name: str) -> str:
    return f"(array_agg({name} ORDER BY row) FILTER (WHERE {name} IS NOT NULL))[1]"


# Those who are not there yet and of whom some row has more than the e-mail address.
NEWCOMERS: Final = f"""newcomers AS MATERIALIZED (
    SELECT told.email, jsonb_strip_nulls(jsonb_build_object('email', told.email, 'first_name', {
    _earliest("first_name")
},
           'last_name', {_earliest("last_name")}, 'phone', {_earliest("phone")})) AS facts
      FROM (
        {
    " UNION ALL ".join(
        f'''SELECT s.row, s.{kind} AS email, {_first(kind)} AS first_name, {_last(kind)} AS last_name,
               s.{kind}_phone AS phone
          FROM staged AS s WHERE {_details(kind)} IS NOT NULL AND strpos(s.{kind}, '@') > 0'''
        for kind in KINDS
    )
}
      ) AS told
     WHERE NOT EXISTS (SELECT 1 FROM users AS u WHERE u.organization_id = %(tenant)s AND u.email = told.email)
     GROUP BY told.email
)"""
JOINED: Final = " ".join(f"LEFT JOIN newcomers AS new_{kind} ON new_{kind}.email = s.{kind}" for kind in KINDS)
FACTS: Final = f"""CASE WHEN {" OR ".join(f"new_{kind}.email IS NOT NULL" for kind in KINDS)}
    THEN jsonb_strip_nulls(jsonb_build_object({", ".join(f"'{kind}', new_{kind}.facts" for kind in KINDS)})) END"""
# Stands for a user who is made when the row is written.
TO_BE_MADE: Final = 0

MAKING: Final = """
INSERT INTO users (organization_id, email, first_name, last_name, phone, role, jti, created_at, updated_at)
SELECT DISTINCT ON (told.facts ->> 'email') %(tenant)s, told.facts ->> 'email', told.facts ->> 'first_name',
       told.facts ->> 'last_name', told.facts ->> 'phone', 0, gen_random_uuid()::text, %(now)s, %(now)s
  FROM resolved AS r CROSS JOIN LATERAL jsonb_each(r.contacts) AS told (kind, facts)
 WHERE r.contacts IS NOT NULL AND (r.existing_id IS NULL OR cardinality(r.differs) > 0) AND NOT EXISTS (
    SELECT 1 FROM users AS u WHERE u.organization_id = %(tenant)s AND u.email = told.facts ->> 'email')
 ORDER BY told.facts ->> 'email'
ON CONFLICT DO NOTHING;
""" + ";".join(
    f"""
UPDATE resolved AS r SET {kind}_id = u.id FROM users AS u
 WHERE u.organization_id = %(tenant)s AND u.email = r.contacts -> '{kind}' ->> 'email' AND r.{kind}_id = {TO_BE_MADE}"""
    for kind in KINDS
)


def _keys(first: str, last: str) -> str:
    """The keys by which a whole name may be written."""
    natural, turned = f"concat_ws(' ', {first}, {last})", f"concat_ws(' ', {last}, {first})"
    return ", ".join((folded(natural), folded(turned), folded(last, first)))


def _checks(kind: str) -> tuple[str, ...]:
    rows = "FROM resolved AS r JOIN staged AS s ON s.row = r.row"
    known = f"{rows} JOIN users AS u ON u.organization_id = %(tenant)s AND u.id = r.{kind}_id"
    first, last = "u.first_name", "u.last_name"
    another = "correct it, import the users with --update first, or leave the column out"
    told_first, told_last = (f"(r.contacts -> '{kind}' ->> '{name}')" for name in ("first_name", "last_name"))
    told_keys = _keys(told_first, told_last)
    return (
        fault(
            kind,
            _details(kind),
            quoted("a name or phone comes without an e-mail address, which a user needs"),
            quoted("fill it in, or leave the columns of the contact out"),
            f"{rows} WHERE s.{kind} IS NULL AND NOT s.faulty AND {_details(kind)} IS NOT NULL",
        ),
        fault(
            f"{kind}_name",
            f"s.{kind}_name",
            quoted("does not say which is the last name"),
            quoted(TWO_COLUMNS),
            f"{rows} WHERE r.{kind}_id = {TO_BE_MADE} AND strpos(s.{kind}_name, ',') = 0 "
            f"AND s.{kind}_first_name IS NULL AND {key_of(f's.{kind}_name')} NOT IN ({told_keys})",
        ),
        fault(
            f"{kind}_name",
            f"coalesce(s.{kind}_name, concat_ws(' ', s.{kind}_first_name, s.{kind}_last_name))",
            "'the user who has this e-mail address is called ' || coalesce(nullif(concat_ws(' ', u.first_name, "
            "u.last_name), ''), 'nothing')",
            quoted(another),
            f"{known} WHERE s.{kind}_name IS NOT NULL AND {key_of(f's.{kind}_name')} NOT IN ({_keys(first, last)}) "
            f"OR {folded(f's.{kind}_first_name')} <> {folded(first)} AND s.{kind}_first_name IS NOT NULL "
            f"OR {folded(f's.{kind}_last_name')} <> {folded(last)} AND s.{kind}_last_name IS NOT NULL",
        ),
        fault(
            f"{kind}_phone",
            f"s.{kind}_phone",
            "'the user who has this e-mail address has ' || coalesce('the phone ' || u.phone, 'no phone')",
            quoted(another),
            f"{known} WHERE s.{kind}_phone IS DISTINCT FROM u.phone AND s.{kind}_phone IS NOT NULL",
        ),
        fault(
            kind,
            f"s.{kind}",
            quoted("a row before says another name or phone of this contact"),
            quoted("correct one of the two"),
            f"{rows} WHERE r.{kind}_id = {TO_BE_MADE} AND NOT s.faulty AND ("
            f"s.{kind}_phone <> r.contacts -> '{kind}' ->> 'phone' "
            f"OR {folded(_first(kind))} <> {folded(told_first)} AND {_first(kind)} IS NOT NULL "
            f"OR {folded(_last(kind))} <> {folded(told_last)} AND {_last(kind)} IS NOT NULL)",
        ),
    )


CONTACT_CHECKS: Final = tuple(statement for kind in KINDS for statement in _checks(kind))
