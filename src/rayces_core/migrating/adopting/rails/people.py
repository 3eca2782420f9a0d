"""Organizations, users, posts and likes of the old application, as rows of this library's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayces_core.migrating.adopting.addresses import AS_GIVEN, PLACEHOLDER_HOST
from rayces_core.migrating.adopting.rails.faults import noted, noted_gone
from rayces_core.migrating.adopting.rails.old import Old, capital, small

DEFAULT_ZONE, DEFAULT_CURRENCY = "America/Argentina/Buenos_Aires", "ARS"
HOMELESS_NAME, HOMELESS_SUBDOMAIN = "MyHub", "myhub"
# Rails knows some zones by names of its own.
_RAILS_ZONES = {
    "Buenos Aires": "America/Argentina/Buenos_Aires",
    "Montevideo": "America/Montevideo",
    "Santiago": "America/Santiago",
    "Brasilia": "America/Sao_Paulo",
    "Bogota": "America/Bogota",
    "Lima": "America/Lima",
    "La Paz": "America/La_Paz",
    "Caracas": "America/Caracas",
    "Mexico City": "America/Mexico_City",
    "Madrid": "Europe/Madrid",
    "Eastern Time (US & Canada)": "America/New_York",
    "Central Time (US & Canada)": "America/Chicago",
    "Mountain Time (US & Canada)": "America/Denver",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
}
# Rails' numbers → ours, where 0 is who may do least.
ROLES = {0: 3, 1: 1, 2: 2, 3: 0}


def as_object(json: str) -> str:
    """The expression for JSON as an object: what is none is kept as its `value`."""
    return (
        f"CASE WHEN coalesce({json}, 'null') = 'null' THEN '{{}}' WHEN jsonb_typeof({json}) = 'object' THEN {json} "
        f"ELSE jsonb_build_object('value', {json}) END"
    )


def stamps(old: Old, table: str) -> str:
    """created_at and updated_at."""
    made, changed = old.take(table, "created_at", "moment"), old.take(table, "updated_at", "moment")
    return f"coalesce({made}, {changed}, now()) AS created_at, coalesce({changed}, {made}, now()) AS updated_at"


def role_number(choices: Mapping[str, str], number: str) -> str:
    """The expression for our number of a role that the old application knows by `number`."""
    pairs = ROLES.items() if choices.get("roles") == "rails" else ((each, each) for each in range(4))
    return f"CASE {number} {' '.join(f'WHEN {theirs} THEN {ours}' for theirs, ours in pairs)} END"


def organizations(old: Old, choices: Mapping[str, str]) -> Iterator[str]:
    """Each organization with a subdomain of its own, a zone, a currency and settings."""
    table = "organizations"
    settings = old.take(table, "settings", "jsonb")
    zone = f"coalesce({old.take(table, 'time_zone')}, s ->> 'time_zone', s ->> 'timezone')"
    currency = capital(f"coalesce({old.take(table, 'currency')}, s ->> 'currency')")
    aliases = " ".join(f"WHEN '{name}' THEN '{known}'" for name, known in _RAILS_ZONES.items())
    active = f"coalesce({old.take(table, 'active', 'boolean')}, false)" if old.has(table, "active") else "true"
    yield f"""
        CREATE TEMP TABLE plan_organizations ON COMMIT DROP AS
        WITH told AS MATERIALIZED (
            SELECT o.id, {old.take(table, "name")} AS name, {old.take(table, "subdomain")} AS given,
                   CASE jsonb_typeof({settings}) WHEN 'object' THEN {settings} ELSE '{{}}' END AS s,
                   pg_temp.rayces_settings({settings}) AS shaped, {active} AS active,
                   nullif({old.normal(old.take(table, "email"))}, '') AS email, {old.take(table, "phone")} AS phone,
                   {old.take(table, "address")} AS address, {stamps(old, table)},
                   coalesce(nullif(left(btrim(regexp_replace({small(old.take(table, "subdomain"))},
                       '[^a-z0-9]+', '-', 'g'), '-'), 50), ''), 'organization-' || o.id) AS base
              FROM {old.source(table)}
        ), meant AS (
            SELECT told.*, z AS told_zone, CASE z {aliases} ELSE z END AS zone, c AS told_currency,
                   row_number() OVER (PARTITION BY base ORDER BY base = given DESC, told.id) AS place
              FROM told JOIN (SELECT o.id, {zone.replace("s ->>", "t.s ->>")} AS z,
                                     {currency.replace("s ->>", "t.s ->>")} AS c
                                FROM {old.source(table)} JOIN told AS t ON t.id = o.id) AS d ON d.id = told.id
        )
        SELECT id, coalesce(nullif(btrim(name), ''), 'Organization ' || id) AS name, btrim(name) AS told_name,
               base || CASE WHEN place > 1 THEN '-' || id ELSE '' END AS subdomain, given,
               CASE WHEN coalesce(zone, '{DEFAULT_ZONE}') = '{DEFAULT_ZONE}' THEN '{DEFAULT_ZONE}'
                    WHEN zone IN (SELECT name FROM pg_timezone_names) THEN zone ELSE '{DEFAULT_ZONE}' END AS time_zone,
               told_zone, zone AS meant_zone,
               CASE WHEN told_currency ~ '^[A-Z]{{3}}$' THEN told_currency ELSE '{DEFAULT_CURRENCY}' END AS currency,
               told_currency, shaped -> 0 AS settings, (shaped -> 1)::boolean AS lost,
               active, email, phone, address, created_at, updated_at, NULL::text AS gone, NULL::text AS why
          FROM meant
    """
    yield noted(table, "blank-names", "coalesce(told_name, '') = ''", "'it had no name'")
    yield noted(table, "subdomains", "p.subdomain IS DISTINCT FROM given", "'it became ' || p.subdomain")
    yield noted(table, "unknown-values", "meant_zone <> time_zone", "'the time zone became ' || time_zone")
    yield noted(table, "unknown-values", "told_currency <> currency", "'the currency became ' || currency")
    yield noted(table, "shapes", "lost", "'settings'")
    if choices.get("missing-organization") == "new":
        yield _home_for_the_homeless(old)


def _home_for_the_homeless(old: Old) -> str:
    return f"""
        INSERT INTO plan_organizations
            (id, name, subdomain, time_zone, currency, settings, active, created_at, updated_at)
        SELECT (SELECT coalesce(max(id), 0) + 1 FROM plan_organizations), '{HOMELESS_NAME}',
               CASE WHEN EXISTS (SELECT FROM plan_organizations WHERE subdomain = '{HOMELESS_SUBDOMAIN}')
                    THEN '{HOMELESS_SUBDOMAIN}-0' ELSE '{HOMELESS_SUBDOMAIN}' END,
               '{DEFAULT_ZONE}', '{DEFAULT_CURRENCY}', '{{}}', true, now(), now()
         WHERE EXISTS (SELECT FROM {old.source("users")}
                        WHERE {old.take("users", "organization_id", "bigint")} IS NULL)
    """


def users(old: Old, choices: Mapping[str, str]) -> Iterator[str]:
    """Each user with a normal address, a role of ours and a token of its own."""
    table = "users"
    email, own = old.take(table, "email"), old.take(table, "organization_id", "bigint")
    role = role_number(choices, old.take(table, "role", "bigint")) if old.has(table, "role") else "0"
    home = (
        f"coalesce({own}, (SELECT max(id) FROM plan_organizations))"
        if choices.get("missing-organization") == "new"
        else own
    )
    address = old.normal(email)
    current, last = old.take(table, "current_sign_in_ip"), old.take(table, "last_sign_in_ip")
    yield f"""
        CREATE TEMP TABLE plan_users ON COMMIT DROP AS
        WITH told AS MATERIALIZED (
            SELECT o.id, h.id AS organization_id, {own} AS told_organization,
                   coalesce(nullif({address}, ''), 'user-' || o.id || '@{PLACEHOLDER_HOST}') AS address,
                   {email} AS given, coalesce({address}, '') = '' AS is_blank,
                   {old.take(table, "uid")} AS uid, {old.take(table, "provider")} AS provider, {role} AS role,
                   {old.take(table, "first_name")} AS first_name, {old.take(table, "last_name")} AS last_name,
                   {old.take(table, "phone")} AS phone, {old.take(table, "jti")} AS jti,
                   greatest(coalesce({old.take(table, "sign_in_count", "bigint")}, 0), 0)::integer AS sign_in_count,
                   {old.take(table, "current_sign_in_at", "moment")} AS current_sign_in_at,
                   {old.take(table, "last_sign_in_at", "moment")} AS last_sign_in_at,
                   pg_temp.rayces_inet({current}) AS current_sign_in_ip, pg_temp.rayces_inet({last}) AS last_sign_in_ip,
                   nullif({current}, '') AS told_current, nullif({last}, '') AS told_last, {stamps(old, table)}
              FROM {old.source(table)} LEFT JOIN plan_organizations AS h ON h.id = {home}
        ), placed AS (
            SELECT told.*, row_number() OVER (PARTITION BY organization_id, address ORDER BY id) AS place,
                   row_number() OVER (PARTITION BY organization_id, jti ORDER BY id) AS token
              FROM told
        )
        SELECT id, organization_id, given, is_blank, CASE WHEN given <> address THEN given END AS {AS_GIVEN},
               CASE WHEN place = 1 THEN address ELSE
                   regexp_replace(address, '@[^@]*$', '') || '+' || id
                   || coalesce(substring(address FROM '@[^@]*$'), '')
               END AS email, place, uid, provider, coalesce(role, 0)::smallint AS role, role AS told_role,
               first_name, last_name, phone,
               CASE WHEN token > 1 AND jti IS NOT NULL THEN gen_random_uuid()::text ELSE jti END AS jti, token,
               sign_in_count, current_sign_in_at, last_sign_in_at, current_sign_in_ip, last_sign_in_ip,
               told_current, told_last, created_at, updated_at,
               CASE WHEN organization_id IS NOT NULL THEN NULL WHEN told_organization IS NULL
                    THEN 'missing-organization' ELSE 'orphans' END AS gone, 'it has no organization' AS why
          FROM placed
    """
    yield "ALTER TABLE plan_users ADD PRIMARY KEY (id)"
    yield noted_gone(table)
    here = "p.gone IS NULL AND"
    yield noted(table, "missing-organization", f"{here} EXISTS (SELECT FROM {old.source(table)} WHERE o.id = p.id "
                f"AND {own} IS NULL)", "'it was given one'")  # fmt: skip
    yield noted(table, "missing-emails", f"{here} is_blank", "'it was given ' || p.email")
    yield noted(table, "emails", f"{here} place > 1", "'it was given ' || p.email")
    yield noted(table, "unknown-roles", f"{here} told_role IS NULL", "'it became a guardian'")
    yield noted(table, "unknown-values", f"{here} token > 1 AND jti IS NOT NULL", "'it was given a new jti'")
    for name in ("current", "last"):
        condition = f"{here} told_{name} IS NOT NULL AND {name}_sign_in_ip IS NULL"
        yield noted(table, "unknown-values", condition, f"'{name}_sign_in_ip was emptied'")


def posts(old: Old, choices: Mapping[str, str]) -> Iterator[str]:
    """Each post whose author is in its organization; one without is its organization's user of the chosen address."""
    table, address = "posts", choices.get("missing-author", "").replace("'", "''")
    own, author = old.take(table, "organization_id", "bigint"), old.take(table, "user_id", "bigint")
    given, literal = "@" in address, old.normal(f"'{address}'")
    if given:
        yield _authors(old, own, author, literal)
    substitute = f"AND substitute.email = {literal}" if given else "AND false"
    yield f"""
        CREATE TEMP TABLE plan_posts ON COMMIT DROP AS
        SELECT o.id, u.organization_id, u.id AS user_id, {old.take(table, "content")} AS content, {stamps(old, table)},
               {author} IS NULL AND u.id IS NOT NULL AS is_given,
               CASE WHEN {author} IS NULL AND u.id IS NULL THEN 'missing-author'
                    WHEN u.id IS NULL THEN 'orphans' WHEN u.gone IS NOT NULL THEN u.gone
                    WHEN {own} <> u.organization_id THEN 'other-organizations' END AS gone,
               'its author is missing, set aside or of another organization' AS why
          FROM {old.source(table)}
          LEFT JOIN plan_users AS substitute
            ON substitute.organization_id = {own} AND substitute.gone IS NULL {substitute}
          LEFT JOIN plan_users AS u ON u.id = coalesce({author}, substitute.id)
    """
    yield "ALTER TABLE plan_posts ADD PRIMARY KEY (id)"
    yield noted_gone(table)
    yield noted(table, "missing-author", "p.gone IS NULL AND is_given", f"'it was given to {address}'")


def _authors(old: Old, own: str, author: str, literal: str) -> str:
    """The user of that address in each organization that has posts without an author, made if need be."""
    return f"""
        INSERT INTO plan_users
            (id, organization_id, email, role, sign_in_count, place, token, created_at, updated_at)
        SELECT (SELECT coalesce(max(id), 0) FROM plan_users) + row_number() OVER (ORDER BY needed.id), needed.id,
               {literal}, 0, 0, 1, 1, now(), now()
          FROM (SELECT DISTINCT h.id FROM {old.source("posts")} JOIN plan_organizations AS h ON h.id = {own}
                 WHERE {author} IS NULL) AS needed
         WHERE NOT EXISTS (SELECT FROM plan_users AS u WHERE u.gone IS NULL AND u.organization_id = needed.id
                              AND u.email = {literal})
    """


def likes(old: Old, _choices: Mapping[str, str]) -> Iterator[str]:
    """Each first like of a user and post of one organization."""
    table = "likes"
    yield f"""
        CREATE TEMP TABLE plan_likes ON COMMIT DROP AS
        WITH told AS MATERIALIZED (
            SELECT o.id, u.organization_id, u.id AS user_id, m.id AS post_id, {stamps(old, table)},
                   CASE WHEN u.id IS NULL OR m.id IS NULL THEN 'orphans'
                        WHEN u.gone IS NOT NULL THEN u.gone WHEN m.gone IS NOT NULL THEN m.gone
                        WHEN u.organization_id <> m.organization_id
                          OR {old.take(table, "organization_id", "bigint")} <> u.organization_id
                        THEN 'other-organizations' END AS gone
              FROM {old.source(table)}
              LEFT JOIN plan_users AS u ON u.id = {old.take(table, "user_id", "bigint")}
              LEFT JOIN plan_posts AS m ON m.id = {old.take(table, "post_id", "bigint")}
        )
        SELECT id, organization_id, user_id, post_id, created_at, updated_at,
               coalesce(gone, CASE WHEN row_number() OVER (PARTITION BY gone, user_id, post_id ORDER BY id) > 1
                                   THEN 'repeated-likes' END) AS gone,
               'its user or post is missing, set aside or of another organization, or it repeats an older one' AS why
          FROM told
    """
    yield noted_gone(table)
