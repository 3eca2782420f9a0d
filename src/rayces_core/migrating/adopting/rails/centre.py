"""Professionals and students of the old application, as rows of this library's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayces_core.migrating.adopting.rails.faults import noted, noted_gone
from rayces_core.migrating.adopting.rails.old import Old, capital, small
from rayces_core.migrating.adopting.rails.people import DEFAULT_CURRENCY, stamps

ADMISSION_STATES = (
    *("prospect", "applied", "waitlisted", "admitted", "enrolled"),
    *("on_leave", "discharged", "rejected"),
)
# A state as AASM or people may have spelled it.
_SPELLING = f"replace(replace({small('{0}')}, '-', '_'), ' ', '_')"
_SYNONYMS = {"canceled": "cancelled", "noshow": "no_show", "preconfirmed": "pre_confirmed", "onleave": "on_leave"}


def spelled(expression: str) -> str:
    """The expression for a state in this library's spelling."""
    words = " ".join(f"WHEN '{theirs}' THEN '{ours}'" for theirs, ours in _SYNONYMS.items())
    return f"CASE {_SPELLING.format(expression)} {words} ELSE {_SPELLING.format(expression)} END"


def listed(words: tuple[str, ...]) -> str:
    """The words as SQL."""
    return ", ".join(f"'{word}'" for word in words)


def flag(old: Old, table: str, name: str, *, missing: str) -> str:
    """A boolean; in Ruby nil is not true, so an empty one is false."""
    return f"coalesce({old.take(table, name, 'boolean')}, {'false' if old.has(table, name) else missing})"


def professionals(old: Old, _choices: Mapping[str, str]) -> Iterator[str]:
    """Each first profile of a user in its organization."""
    table = "professionals"
    length = old.take(table, "session_duration_minutes", "bigint")
    buffer, price = old.take(table, "buffer_minutes", "bigint"), old.take(table, "session_price_cents", "bigint")
    weekly, before_it = old.take(table, "weekly_schedule", "jsonb"), old.also(table, "availability", "jsonb")
    schedule = f"coalesce(nullif({weekly}, '{{}}'), {before_it})"
    own, currency = old.take(table, "organization_id", "bigint"), capital(old.take(table, "currency"))
    yield f"""
        CREATE TEMP TABLE plan_professionals ON COMMIT DROP AS
        WITH told AS MATERIALIZED (
            SELECT o.id, u.organization_id, u.id AS user_id, {old.take(table, "title")} AS title,
                   {old.take(table, "specialization")} AS specialization, {old.take(table, "bio")} AS bio,
                   {old.take(table, "license_number")} AS license_number,
                   pg_temp.rayces_schedule({schedule}) AS schedule,
                   pg_temp.rayces_blocked({old.take(table, "blocked_dates", "jsonb")}) AS blocked,
                   {length} AS length, {buffer} AS buffer, {price} AS price, {currency} AS told_currency,
                   {flag(old, table, "active", missing="true")} AS active,
                   {flag(old, table, "accepts_new_clients", missing="true")} AS accepts_new_clients,
                   {stamps(old, table)},
                   CASE WHEN u.id IS NULL THEN 'orphans' WHEN u.gone IS NOT NULL THEN u.gone
                        WHEN {own} <> u.organization_id THEN 'other-organizations' END AS gone
              FROM {old.source(table)} LEFT JOIN plan_users AS u ON u.id = {old.take(table, "user_id", "bigint")}
        )
        SELECT id, organization_id, user_id, title, specialization, bio, license_number,
               schedule -> 0 AS weekly_schedule, blocked -> 0 AS blocked_dates,
               (schedule -> 1)::boolean OR (blocked -> 1)::boolean AS lost, length, buffer, price,
               least(greatest(coalesce(length, 60), 15), 480)::integer AS session_duration_minutes,
               least(greatest(coalesce(buffer, 15), 0), 1440)::integer AS buffer_minutes, active, accepts_new_clients,
               (CASE WHEN price < 0 THEN 0 ELSE price END)::integer AS session_price_cents, told_currency,
               CASE WHEN told_currency ~ '^[A-Z]{{3}}$' THEN told_currency ELSE '{DEFAULT_CURRENCY}' END AS currency,
               created_at, updated_at,
               coalesce(gone, CASE WHEN row_number() OVER (PARTITION BY gone, user_id ORDER BY id) > 1
                                   THEN 'orphans' END) AS gone,
               'its user is missing, set aside, of another organization or has a profile already' AS why
          FROM told
    """
    yield noted_gone(table)
    here = "p.gone IS NULL AND"
    yield noted(table, "numbers", f"{here} (length <> session_duration_minutes OR buffer <> buffer_minutes "
                "OR price <> session_price_cents)", "'length, buffer or price became the nearest'")  # fmt: skip
    yield noted(table, "unknown-values", f"{here} told_currency <> currency", "'the currency became ' || p.currency")
    yield noted(table, "shapes", f"{here} lost", "'weekly_schedule or blocked_dates'")


def students(old: Old, choices: Mapping[str, str]) -> Iterator[str]:
    """Each student of an organization, with contacts of the same one."""
    table = "students"
    state = spelled(old.take(table, "admission_state"))
    contacts = {
        "primary_contact": f"coalesce({old.take(table, 'primary_contact_id', 'bigint')}, "
        f"{old.also(table, 'parent_id', 'bigint')})",
        "secondary_contact": old.take(table, "secondary_contact_id", "bigint"),
    }
    joins = " ".join(
        f"LEFT JOIN plan_users AS {name} ON {name}.id = {key} AND {name}.gone IS NULL AND {name}.organization_id = h.id"
        for name, key in contacts.items()
    )
    unknown = f"told_state NOT IN ({listed(ADMISSION_STATES)})"
    leaves = "'states'" if choices.get("states") == "set-aside" else "NULL"
    yield f"""
        CREATE TEMP TABLE plan_students ON COMMIT DROP AS
        WITH told AS MATERIALIZED (
            SELECT o.id, h.id AS organization_id, {old.take(table, "organization_id", "bigint")} AS own,
                   btrim({old.take(table, "first_name")}) AS told_first,
                   btrim({old.take(table, "last_name")}) AS told_last,
                   {old.take(table, "date_of_birth", "date")} AS date_of_birth,
                   {old.take(table, "grade_level")} AS grade_level,
                   primary_contact.id AS primary_contact_id, secondary_contact.id AS secondary_contact_id,
                   {contacts["primary_contact"]} AS told_primary, {contacts["secondary_contact"]} AS told_secondary,
                   {old.take(table, "medical_notes")} AS medical_notes,
                   {old.take(table, "educational_notes")} AS educational_notes,
                   pg_temp.rayces_contacts({old.take(table, "emergency_contacts", "jsonb")}) AS contacts,
                   pg_temp.rayces_documents({old.take(table, "documents", "jsonb")},
                       coalesce({old.take(table, "updated_at", "moment")}, now())) AS documents,
                   {state} AS told_state, {old.take(table, "admission_date", "date")} AS admission_date,
                   {old.take(table, "discharge_date", "date")} AS told_discharge, {stamps(old, table)}
              FROM {old.source(table)}
              LEFT JOIN plan_organizations AS h ON h.id = {old.take(table, "organization_id", "bigint")} {joins}
        )
        SELECT id, organization_id, coalesce(nullif(told_first, ''), '(no name)') AS first_name,
               coalesce(nullif(told_last, ''), '(no name)') AS last_name, told_first, told_last, date_of_birth,
               grade_level, primary_contact_id, secondary_contact_id, told_primary, told_secondary, medical_notes,
               educational_notes, contacts -> 0 AS emergency_contacts, documents -> 0 AS documents,
               (contacts -> 1)::boolean OR (documents -> 1)::boolean AS lost,
               CASE WHEN {unknown} THEN 'prospect' ELSE coalesce(told_state, 'prospect') END AS admission_state,
               told_state, admission_date, told_discharge,
               CASE WHEN told_discharge < admission_date THEN NULL ELSE told_discharge END AS discharge_date,
               created_at, updated_at,
               CASE WHEN own IS NULL THEN 'missing-organization' WHEN organization_id IS NULL THEN 'orphans'
                    WHEN {unknown} THEN {leaves} END AS gone,
               'it has no organization, or a state that is unknown' AS why
          FROM told
    """
    yield "ALTER TABLE plan_students ADD PRIMARY KEY (id)"
    yield noted_gone(table)
    here = "p.gone IS NULL AND"
    yield noted(table, "blank-names", f"{here} (coalesce(told_first, '') = '' OR coalesce(told_last, '') = '')",
                "'it was given (no name)'")  # fmt: skip
    for name in ("primary", "secondary"):
        emptied = f"{here} told_{name} IS NOT NULL AND {name}_contact_id IS NULL"
        known = f"EXISTS (SELECT FROM plan_users u WHERE u.id = told_{name})"
        reason = f"'{name}_contact_id was emptied'"
        yield noted(table, "other-organizations", f"{emptied} AND {known}", reason)
        yield noted(table, "orphans", f"{emptied} AND NOT {known}", reason)
    yield noted(table, "shapes", f"{here} lost", "'emergency_contacts or documents'")
    yield noted(table, "states", f"{here} {unknown}", "'it became a prospect'")
    yield noted(table, "dates", f"{here} told_discharge < admission_date", "'the discharge date was emptied'")
