"""What the old application may go on doing, until `--finish`: it sees all organizations, as it always did.

Rule it guards: an old number of a role is never read as one of ours, or ours as an old one: users are given to it
through a view that translates them. Ledger and balances it may read only; its way of writing them loses updates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rayces_core.migrating.adopting.addresses import AS_GIVEN, PLACEHOLDER_HOST
from rayces_core.migrating.adopting.privileges import taking_back
from rayces_core.migrating.adopting.rails.moving import BEFORE
from rayces_core.migrating.adopting.rails.old import TABLES, Old
from rayces_core.migrating.adopting.rails.people import ROLES, role_number
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

SCHEMA = "rayces_rails"
POLICY = "rayces_adoption"
# An appointment is cancelled, never deleted, as for everybody.
GRANTS = {
    "organizations": "SELECT, INSERT, UPDATE",
    "posts": "SELECT, INSERT, UPDATE, DELETE",
    "likes": "SELECT, INSERT, UPDATE, DELETE",
    "professionals": "SELECT, INSERT, UPDATE, DELETE",
    "students": "SELECT, INSERT, UPDATE, DELETE",
    "appointments": "SELECT, INSERT, UPDATE",
    "credit_balances": "SELECT",
    "credit_transactions": "SELECT",
}
# What the old application finds in its users, where our type is another one.
_WHOLE = "masklen(u.{0}) = CASE family(u.{0}) WHEN 4 THEN 32 ELSE 128 END"
_ADDRESS = f"CASE WHEN {_WHOLE} THEN host(u.{{0}}) ELSE u.{{0}}::text END"
_AS_BEFORE = {
    "timestamp without time zone": "(u.{0} AT TIME ZONE 'UTC')::{1}",
    "character varying": "u.{0}::text::{1}",
    "text": "u.{0}::text",
}
_MOMENTS = ("current_sign_in_at", "last_sign_in_at", "created_at", "updated_at")
_AS_OURS = {
    **dict.fromkeys(
        ("current_sign_in_at", "last_sign_in_at", "created_at", "updated_at"), "NEW.{0} AT TIME ZONE 'UTC'"
    ),
    **dict.fromkeys(("current_sign_in_ip", "last_sign_in_ip"), "nullif(NEW.{0}, '')::inet"),
    "sign_in_count": "coalesce(NEW.sign_in_count, 0)",
}


def search_path(schema: str) -> str:
    """Where the old application finds its users as before, then our tables, then those of its own that went aside."""
    plain = schema.isidentifier() and schema == schema.lower()
    return f"{SCHEMA},{schema if plain else quote_identifier(schema)},{BEFORE}"


# Whoever asks the table itself was not started again, and is told so instead of seeing nobody.
_STARTED_AGAIN = f"""
CREATE FUNCTION {SCHEMA}.started_again() RETURNS boolean LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'this database is adopted by rayces; start the old application again '
        'with schema_search_path: "{{path}}" in config/database.yml, where its users are as before';
END
$refuse$
"""


def letting_in(
    database: MigrationDatabase, old: Old, roles: Sequence[str], choices: Mapping[str, str], ours: Sequence[str]
) -> Iterator[str]:
    """The statements, once the tables are exchanged, that give the old roles what they may go on doing."""
    home = quote_identifier(database.schema)
    yield taking_back(ours, roles)
    if not roles:
        return
    named = ", ".join(quote_identifier(role) for role in roles)
    for table, granted in GRANTS.items():
        yield f"GRANT {granted} ON {home}.{table} TO {named}"
        # The owner of a table needs no right to write it, and without a policy would believe that it had.
        writes = "false" if granted == "SELECT" else "true"
        yield f"CREATE POLICY {POLICY} ON {home}.{table} TO {named} USING (true) WITH CHECK ({writes})"
    admin = quote_identifier(database.admin_role)
    yield f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {admin}"
    yield f"SET LOCAL ROLE {admin}"
    yield from _view(home, old, choices)
    yield _STARTED_AGAIN.replace("{path}", search_path(database.schema).replace("'", "''"))
    yield f"GRANT USAGE ON SCHEMA {SCHEMA} TO {named}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {SCHEMA}.users TO {named}"
    yield "RESET ROLE"
    yield f"GRANT USAGE ON SCHEMA {BEFORE} TO {named}"
    # No right at all would be as plain, but an owner has every right.
    asked = f"{SCHEMA}.started_again()"
    yield f"CREATE POLICY {POLICY} ON {home}.users TO {named} USING ({asked}) WITH CHECK ({asked})"


def shutting_out(database: MigrationDatabase, roles: Sequence[str]) -> Iterator[str]:
    """The statements that take all of it away."""
    home = quote_identifier(database.schema)
    for table in (*GRANTS, "users"):
        yield f"DROP POLICY IF EXISTS {POLICY} ON {home}.{table}"
    yield taking_back(TABLES, roles)
    if database.one("SELECT true FROM pg_namespace WHERE nspname = %s", SCHEMA):
        # It belongs to the role in whose name the view reads, which the login does not inherit.
        yield f"SET LOCAL ROLE {quote_identifier(database.admin_role)}"
        yield f"DROP SCHEMA {SCHEMA} CASCADE"
        yield "RESET ROLE"


def _view(home: str, old: Old, choices: Mapping[str, str]) -> Iterator[str]:
    columns = [name for name in old.columns["users"] if name not in ("id", AS_GIVEN)]
    shown = ["u.id", *(f"{_shown(old, name, choices)} AS {quote_identifier(name)}" for name in columns)]
    yield f"CREATE VIEW {SCHEMA}.users AS SELECT {', '.join(shown)} FROM {home}.users AS u"
    for name in columns:
        default = old.columns["users"][name].default
        if default and "nextval" not in default:
            yield f"ALTER VIEW {SCHEMA}.users ALTER COLUMN {quote_identifier(name)} SET DEFAULT {default}"
    pairs = {quote_identifier(name): _stored(name, choices) for name in columns}
    address = f"nullif({old.normal('NEW.email')}, '')"
    pairs[quote_identifier("email")] = f"coalesce({address}, gen_random_uuid() || '@{PLACEHOLDER_HOST}')"
    pairs[AS_GIVEN] = f"nullif(NEW.email, {old.normal('NEW.email')})"
    changes = ", ".join(f"{name} = {value}" for name, value in pairs.items() if name != '"organization_id"')
    yield f"""
        CREATE FUNCTION {SCHEMA}.write_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog AS $write$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                DELETE FROM {home}.users WHERE id = OLD.id AND organization_id = OLD.organization_id;
                RETURN OLD;
            ELSIF TG_OP = 'UPDATE' THEN
                UPDATE {home}.users SET {changes} WHERE id = OLD.id AND organization_id = OLD.organization_id;
            ELSIF NEW.id IS NULL THEN
                INSERT INTO {home}.users ({", ".join(pairs)}) VALUES ({", ".join(pairs.values())})
                RETURNING id INTO NEW.id;
            ELSE
                INSERT INTO {home}.users (id, {", ".join(pairs)}) VALUES (NEW.id, {", ".join(pairs.values())});
            END IF;
            RETURN NEW;
        END
        $write$
    """
    yield f"REVOKE ALL ON FUNCTION {SCHEMA}.write_user() FROM PUBLIC"
    yield (
        f"CREATE TRIGGER write_user INSTEAD OF INSERT OR UPDATE OR DELETE ON {SCHEMA}.users "
        f"FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.write_user()"
    )


def _shown(old: Old, name: str, choices: Mapping[str, str]) -> str:
    column = old.columns["users"][name]
    if name == "role":
        return f"({_as_theirs(choices)})::{column.type}"
    if name == "email":
        spelled = f"CASE WHEN {old.normal(f'u.{AS_GIVEN}')} = u.email THEN u.{AS_GIVEN} ELSE u.email END"
        return f"({spelled})::{column.type}"
    if name in ("current_sign_in_ip", "last_sign_in_ip"):
        return f"({_ADDRESS.format(name)})::{column.type}"
    if (("users", name) in old.used) and column.kind in _AS_BEFORE:
        return _AS_BEFORE[column.kind].format(quote_identifier(name), column.type)
    return f"u.{quote_identifier(name)}"


def _as_theirs(choices: Mapping[str, str]) -> str:
    if choices.get("roles") != "rails":
        return "u.role"
    return f"CASE u.role {' '.join(f'WHEN {ours} THEN {theirs}' for theirs, ours in ROLES.items())} END"


def _stored(name: str, choices: Mapping[str, str]) -> str:
    if name == "role":
        return f"coalesce({role_number(choices, 'NEW.role')}, 0)"
    return _AS_OURS.get(name, "NEW.{0}").format(quote_identifier(name))
