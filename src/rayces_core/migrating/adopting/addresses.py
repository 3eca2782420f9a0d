"""The e-mail addresses of an adopted MyHub: in their normal form as long as this library reads them, kept as given.

An old application that compares them exactly goes on finding them where `any-case` is chosen: until `--finish` the
column is a citext, for which `Ana@x.org` and `ana@x.org` are equal.

Rule it guards: the spelling that a user gave is lost by nothing. `users.email_as_given` has it (NULL where it was
normal already) until `--undo` writes it back or `--finish` moves it to `rayces_set_aside`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from rayces_core.migrating.adopting.finding import Finding, answered, choice
from rayces_core.migrating.adopting.noting import BATCH_ROWS
from rayces_core.migrating.myhub import SET_ASIDE
from rayces_core.migrations.addresses import normal_address, trimmed_address
from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.steps import backfill

AS_GIVEN = "email_as_given"
NORMALISE = "rayces_adoption_normalise"
PLACEHOLDER_HOST = "myhub.invalid"
KIND, ANY_CASE = "email-spelling", "any-case"
EXAMPLES = 5

_LENGTH = re.compile(r"\(\d+\)")
_PSEUDO = re.compile(r"\b(NORMAL|TRIMMED)\(([\w.]+)\)")
# Those that are blank are another kind; what is changed for all users is told by its number.
SPELLED = "SELECT id FROM users WHERE TRIMMED(email) <> '' AND email <> NORMAL(email)"
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {NORMALISE}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given text := NEW.email;
BEGIN
    NEW.email := coalesce(nullif(NORMAL(given), ''), 'user-' || NEW.id || '@{PLACEHOLDER_HOST}');
    IF TG_OP = 'UPDATE' THEN
        -- The same address again, or one that comes with its spelling, keeps what is known of it.
        IF NEW.email = OLD.email AND given = NEW.email OR NEW.{AS_GIVEN} IS DISTINCT FROM OLD.{AS_GIVEN} THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.{AS_GIVEN} := nullif(given, NEW.email);
    RETURN NEW;
END
$$
"""
# A row that is as it must be costs no call.
_TRIGGER = f"""
CREATE OR REPLACE TRIGGER {NORMALISE} BEFORE INSERT OR UPDATE OF email ON users FOR EACH ROW
    WHEN (NEW.email IS NULL OR NEW.email = '' OR NEW.email <> NORMAL(NEW.email) OR NEW.{AS_GIVEN} IS NOT NULL)
    EXECUTE FUNCTION {NORMALISE}()
"""
# What keeps a column from changing its type; what is ours is made after it.
_DEPENDENTS = f"""
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
 WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'users'::regclass AND a.attname = 'email'
   AND (d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass) OR e.adnum <> a.attnum)
   AND NOT EXISTS (SELECT FROM pg_trigger t
                    WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND t.tgname = '{NORMALISE}')
 ORDER BY 1
"""
_TYPE = """
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'email'
"""
_INDEXES = """
SELECT DISTINCT i.indexrelid::regclass::text
  FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  JOIN pg_index i ON i.indexrelid = d.objid
 WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'users'::regclass AND a.attname = 'email' ORDER BY 1
"""
# Whether the type is there, the extension is there, or this login may make it.
_CITEXT = """
SELECT to_regtype('citext') IS NOT NULL, EXISTS (SELECT FROM pg_extension WHERE extname = 'citext'),
       EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = 'citext'
                  AND (v.trusted AND has_database_privilege(current_database(), 'CREATE')
                       OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)))
"""
# So that --finish and --undo know whose it is.
_EXTENSION = f"""
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citext') THEN
        CREATE EXTENSION citext;
        COMMENT ON EXTENSION citext IS '{NORMALISE}';
    END IF;
END
$$
"""
_IS_OURS = f"""
SELECT true FROM pg_extension WHERE extname = 'citext' AND obj_description(oid, 'pg_extension') = '{NORMALISE}'
"""
_WITHOUT_EXTENSION = f"""
DO $$
BEGIN
    IF EXISTS ({_IS_OURS}) THEN
        DROP EXTENSION citext;
    END IF;
END
$$
"""
_HAS_COLUMN = f"""
SELECT true FROM pg_attribute
 WHERE attrelid = 'users'::regclass AND attname = '{AS_GIVEN}' AND NOT attisdropped
"""
_MOVE = f"""
WITH emptied AS (
    UPDATE users SET {AS_GIVEN} = NULL
      FROM (SELECT id, {AS_GIVEN} AS given FROM users WHERE {AS_GIVEN} IS NOT NULL
             LIMIT {BATCH_ROWS:d} FOR UPDATE) AS was
     WHERE users.id = was.id RETURNING was.id, was.given)
INSERT INTO {SET_ASIDE} (table_name, "row", reason)
SELECT 'users', jsonb_build_object('id', id, 'email', given), 'the spelling of its address, in normal form since'
  FROM emptied
"""


class Addresses:
    """Writes SQL about addresses: NORMAL(column) and TRIMMED(column) become what they stand for on this server."""

    def __init__(self, database: MigrationDatabase) -> None:
        self._forms = {
            "NORMAL": normal_address(database, "{0}"),
            "TRIMMED": trimmed_address(database, "{0}"),
        }

    def sql(self, text: str) -> str:
        """The text as the server can run it."""
        return _PSEUDO.sub(lambda found: self._forms[found[1]].replace("{0}", found[2]), text)


def findings(database: MigrationDatabase, choices: Mapping[str, str]) -> list[Finding]:
    """How many addresses change their spelling, and what an application that compares exactly has to know of it."""
    query = Addresses(database).sql(SPELLED)
    count = int(database.one(f"SELECT count(*) FROM ({query}) AS ids"))
    if not count:
        return []
    examples = database.execute_sql(f"SELECT id FROM ({query}) AS ids ORDER BY id LIMIT {EXAMPLES:d}").fetchall()
    found = choice(
        KIND,
        f"{count} users have an e-mail address with capitals, or blanks around it, which becomes lower case without "
        "them; an application that looks users up by the very text (WHERE email = 'Ana@x.org') will not find these any "
        "more by the address as they type it, unless any-case is chosen",
        f"users.{AS_GIVEN} keeps what was given, and --undo writes it back. lower-case is right where the old "
        "application compares in lower case itself; with any-case the column is a citext until --finish, which is "
        f"equal in any case: {_price(database)}",
        count=count,
        examples=tuple(key for (key,) in examples),
    )
    return [*answered([found], choices), *(_obstacles(database) if choices.get(KIND) == ANY_CASE else ())]


def _price(database: MigrationDatabase) -> str:
    names = [name for (name,) in database.execute_sql(_INDEXES).fetchall()]
    built = f"{', '.join(names)} built anew while nobody can use the table, and " if names else ""
    return f"{built}look-ups by address read all users of the organization (citext is not leakproof)"


def _obstacles(database: MigrationDatabase) -> Iterator[Finding]:
    """What keeps the column from becoming a citext."""
    if database.one(_TYPE) == "citext":
        return
    is_there, is_made, may = database.execute_sql(_CITEXT).fetchone()
    if not is_there and (is_made or not may):
        advice = "add its schema to the search_path" if is_made else "as a DBA: CREATE EXTENSION citext;"
        yield Finding(KIND, "refusal", "any-case needs the type citext", f"{advice} or choose --fix {KIND}=lower-case")
    for (what,) in database.execute_sql(_DEPENDENTS).fetchall():
        yield Finding(
            KIND, "refusal", f"{what} depends on users.email, which any-case makes a citext",
            f"drop it and make it again afterwards, or choose --fix {KIND}=lower-case",
        )  # fmt: skip


def compare_as_chosen(database: MigrationDatabase, choices: Mapping[str, str]) -> None:
    """Let addresses be equal in any case, if that is chosen; there must be no trigger on them yet."""
    if choices.get(KIND) == ANY_CASE and database.one(_TYPE) != "citext":
        database.command(_EXTENSION)
        database.command("ALTER TABLE users ALTER COLUMN email TYPE citext")


def compare_exactly(database: MigrationDatabase, before: str) -> None:
    """Let them be equal to the very text only, where they are not and `before`, the type they had, was none for it.

    The extension stays: what sessions have prepared with its type fails without it.
    """
    if before != "citext" and database.one(_TYPE) == "citext":
        database.command(f"ALTER TABLE users ALTER COLUMN email TYPE {before}")


def compare_exactly_for_good(database: MigrationDatabase, before: str) -> None:
    """The same once the old application is gone: a length that the type had goes, and so does the extension."""
    compare_exactly(database, _LENGTH.sub("", before))
    database.command(_WITHOUT_EXTENSION)


def checked_as_text(text: str) -> str:
    """A statement of 007 whose rule of addresses is one of texts, whatever type they have."""
    rule = "email = lower(btrim(email)) AND email <> ''"
    return text.replace(rule, rule.replace("email ", "email::text ").replace("(email)", "(email::text)"))


def left_behind(database: MigrationDatabase) -> set[str]:
    """Lines of the catalogue that a way back leaves though they were not there before."""
    return {"extension citext"} if database.one(_IS_OURS) else set()


def normalising(database: MigrationDatabase) -> list[str]:
    """The statements that make whatever is written from now on normal, and keep what was given."""
    addresses = Addresses(database)
    return [addresses.sql(_FUNCTION), addresses.sql(_TRIGGER)]


def not_normalising() -> list[str]:
    """The statements that end it."""
    return [f"DROP TRIGGER IF EXISTS {NORMALISE} ON users", f"DROP FUNCTION IF EXISTS {NORMALISE}()"]


def normalise(database: MigrationDatabase) -> None:
    """Bring every address to its normal form and keep what was given, batch by batch."""
    normal = normal_address(database)
    backfill(database, "users", f"{AS_GIVEN} = email, email = {normal}", f"email::text <> {normal}")


def give_back(database: MigrationDatabase) -> None:
    """Write addresses as they were given, but those that are others by now, batch by batch."""
    spell = Addresses(database).sql
    address = f"CASE WHEN email = NORMAL({AS_GIVEN}) THEN {AS_GIVEN} ELSE email END"
    backfill(database, "users", spell(f"email = {address}, {AS_GIVEN} = NULL"), f"{AS_GIVEN} IS NOT NULL")


def keep_for_good(database: MigrationDatabase, run: Callable[[str], None]) -> None:
    """Move what was given to `rayces_set_aside` and drop its column; harmless to repeat."""
    if not database.one(_HAS_COLUMN):
        return
    admin = quote_identifier(database.admin_role)
    run(f"GRANT INSERT ON {SET_ASIDE} TO {admin}")
    while _moved(database, admin):
        pass
    run(f"REVOKE INSERT ON {SET_ASIDE} FROM {admin}")
    run(f"ALTER TABLE users DROP COLUMN {AS_GIVEN}")


def _moved(database: MigrationDatabase, admin: str) -> int:
    """Move one batch, as the role that sees every row."""
    with database.atomic():
        database.command(f"SET LOCAL ROLE {admin}")
        return int(database.execute_sql(_MOVE).rowcount)
