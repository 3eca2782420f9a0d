"""What an adoption adds to numbered migrations, so that the old application goes on beside this library.

Rule it guards: each addition is made in the migration's own transaction or as checkpointed steps of it, so there is no
moment at which the old application meets a table that it cannot use. Each goes with its migration on the way back.

- Whatever table is made: no default privilege gives the old application a right on it.
- 002 makes the organization; 003 gives the three tables a default for organization_id, and users a column for e-mail
  addresses as they were given.
- 005 keeps the rights on the sequences, which it makes anew.
- 006 makes a trigger that brings addresses to their normal form, and keeps what is there; 006 and 008 settle what the
  old application wrote meanwhile.
- 010 leaves the primary keys at (id): PostgreSQL lets a query GROUP BY posts.id and select the rest only by a primary
  key, Rails reads it at its start, and other tables refer to it. `--finish` exchanges them.
- 011 finds its indexes under another name, so they survive.
- 019 lets the old application's roles see the adopted organization, and no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from types import ModuleType

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting import addresses
from rayces_core.migrating.adopting.loosening import type_while_adopted
from rayces_core.migrating.adopting.privileges import clearing, taking_back
from rayces_core.migrating.adopting.recognition import made_tables
from rayces_core.migrating.adopting.record import Record, organization_id
from rayces_core.migrating.adopting.rows import Settling
from rayces_core.migrating.adopting.shaping import original_timestamps, zoned_timestamps
from rayces_core.migrating.execution import Execution
from rayces_core.migrating.files import MigrationFile, read_directory
from rayces_core.migrating.myhub import RECORD, TABLES
from rayces_core.migrations.retry import sqlstate
from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.steps import Migrator, Step

# The old application's worst wait for a lock; a migration asks for three in a row.
LOCK_TIMEOUT_MS = 200
UNIQUE_VIOLATION, UNIQUE_TRIES = "23505", 10

# The index that 011 drops → the name under which it survives.
KEPT_INDEXES = {
    "index_posts_on_user_id": "rayces_adoption_posts_user_id",
    "index_likes_on_user_id": "rayces_adoption_likes_user_id",
    "index_likes_on_post_id": "rayces_adoption_likes_post_id",
}
POLICY, ONLY_POLICY = "rayces_adoption", "rayces_adoption_only"
PRIMARY_KEY_INDEX = "organization_id_id_idx"
# From this migration on row-level security holds; tables that are made later come with theirs.
HELD_FROM = 19

_SEQUENCE_GRANTS = """
SELECT format('GRANT %%s ON SEQUENCE %%I TO %%s%%s', g.privilege_type, c.relname,
              CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS g
 WHERE c.relname = ANY (%s) AND c.relkind = 'S' AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND g.grantee <> c.relowner
 ORDER BY 1
"""

_OWNERS = """
SELECT relname::text, quote_ident(pg_get_userbyid(relowner)) FROM pg_class
 WHERE relname = ANY (%s) AND relkind = 'r' AND relnamespace = quote_ident(current_schema())::regnamespace
"""

_DEFAULTS = """
SELECT DISTINCT s.oid::regclass::text
  FROM pg_attrdef d JOIN pg_class t ON t.oid = d.adrelid
  JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
  JOIN pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
 WHERE t.relname = ANY (%s) AND t.relnamespace = quote_ident(current_schema())::regnamespace ORDER BY 1
"""

# In the order in which an insert takes its locks, and all before the first is changed: a lock that is held while the
# next is waited for stops everybody for as long.
_LOCK_ALL = "LOCK TABLE likes, posts, users IN ACCESS EXCLUSIVE MODE"

_BARE = "ADD COLUMN organization_id bigint"

Around = Callable[["Transition", list[Step]], list[Step]]


class AdoptingExecution(Execution):
    """Runs migrations with what an adoption adds to them."""

    record: Record

    def run(self, file: MigrationFile, *, back: bool) -> None:
        """Apply or undo `file`; a row written while a unique index is built is settled like the rest."""
        for _ in range(UNIQUE_TRIES - 1):
            try:
                return super().run(file, back=back)
            except MigrationError as error:
                if back or error.__cause__ is None or sqlstate(error.__cause__) != UNIQUE_VIOLATION:
                    raise
            Settling(self.database, self.record.choices)()
        return super().run(file, back=back)

    def _limits(self, module: ModuleType | None) -> tuple[int, int]:
        lock_ms, statement_ms = super()._limits(module)
        return min(lock_ms, LOCK_TIMEOUT_MS), statement_ms

    def _steps(self, file: MigrationFile, module: ModuleType, back: bool) -> list[Step]:
        steps = super()._steps(file, module, back)
        transition, around = Transition(self.database, self.record), (_BACK if back else _FORTH).get(file.number)
        if not back:
            steps = transition.without_default_rights(steps)
            if file.number > HELD_FROM:
                steps = transition.narrowed(steps)
        return around(transition, steps) if around else steps


class Transition:
    """The additions of one adoption, as steps."""

    def __init__(self, database: MigrationDatabase, record: Record) -> None:
        self.database, self.record = database, record

    def without_default_rights(self, steps: list[Step]) -> list[Step]:
        """Wherever a table is made: what default privileges give the old roles on it is taken back."""
        made = _made(steps)
        return steps + self._queued([taking_back(made, self.record.old_roles)]) if made else steps

    def organization(self, steps: list[Step]) -> list[Step]:
        """002: the organization that everything falls to."""
        migrator = Migrator(self.database)
        migrator.sql(
            "WITH made AS (INSERT INTO organizations (name, subdomain) VALUES (%s, %s) RETURNING id) "
            f"UPDATE {RECORD} SET adopted_id = made.id FROM made",
            self.record.name,
            self.record.subdomain,
        )
        return steps + migrator.steps

    def defaults(self, steps: list[Step]) -> list[Step]:
        """003: rows written without organization_id fall to the bound organization, or to the adopted one."""
        bound = "nullif(current_setting('rayces.organization_id', true), '')::bigint"
        default = f"coalesce({bound}, {self._organization_id():d})"
        added = [
            f"ALTER TABLE {table} ALTER COLUMN organization_id SET DEFAULT {default}"
            for table in ("likes", "posts", "users")
        ]
        return self._queued(
            # Rows that are there get it without being written, so no trigger of MyHub's sees them.
            [
                self._without_known(step.text.replace(_BARE, f"{_BARE} DEFAULT {self._organization_id():d}"), "ADD")
                for step in steps
            ]
            + [*added, f"ALTER TABLE users ADD COLUMN {addresses.AS_GIVEN} character varying"]
        )

    def _without_known(self, text: str, verb: str) -> str:
        """A statement of 003 without the columns that MyHub has itself."""
        for name in [each.name for each in self.record.before.columns if each.table == "users"]:
            text = re.sub(rf"(?:, {verb} COLUMN {name}\b[^,]*)|(?<= ){verb} COLUMN {name}\b[^,]*, ", "", text)
        return text

    def without_column(self, steps: list[Step]) -> list[Step]:
        """003 back: the defaults go with their columns, and so does what addresses were."""
        dropped = f"ALTER TABLE users DROP COLUMN IF EXISTS {addresses.AS_GIVEN}"
        return self._queued([*(self._without_known(step.text, "DROP") for step in steps), dropped])

    def addresses(self, steps: list[Step]) -> list[Step]:
        """006: what is written is normal from here on, then what was written before becomes so; it is kept as given."""
        first, then = Migrator(self.database), Migrator(self.database)
        first.run(addresses.compare_as_chosen, self.database, self.record.choices)
        then.run(addresses.normalise, self.database)
        begun = first.steps + self._queued(addresses.normalising(self.database))
        return begun + self.settled(then.steps + steps)

    def rules(self, steps: list[Step]) -> list[Step]:
        """007: the rule of addresses does not depend on the type that they have until the end.

        What came in past the trigger (it can be switched off while rows are loaded) is kept as given too, before it
        becomes normal.
        """
        kept = Migrator(self.database)
        kept.run(addresses.normalise, self.database)
        return kept.steps + [
            step if step.is_call else self._queued([addresses.checked_as_text(step.text)])[0] for step in steps
        ]

    def addresses_back(self, steps: list[Step]) -> list[Step]:
        """006 back: addresses are what they were."""
        migrator = Migrator(self.database)
        migrator.run(addresses.give_back, self.database)
        migrator.run(addresses.compare_exactly, self.database, type_while_adopted(self.record, "users", "email"))
        return self._queued(addresses.not_normalising()) + migrator.steps + steps

    def zoned(self, _steps: list[Step]) -> list[Step]:
        """004: what is a time without a zone, and nothing else, changes its type."""
        return self._queued(zoned_timestamps(self.record.before))

    def timestamps(self, _steps: list[Step]) -> list[Step]:
        """004 back: the types and defaults that MyHub had."""
        return self._queued(original_timestamps(self.record.before))

    def identities(self, steps: list[Step]) -> list[Step]:
        """005: ids that are an identity already stay it; a sequence that counts in another way goes on so."""
        changed = []
        for table, text in self._of_tables(steps):
            options = self.record.before.sequences.get(table, [""])[-1]
            if options:
                changed.append(
                    text.replace(f"(SEQUENCE NAME {table}_id_seq)", f"(SEQUENCE NAME {table}_id_seq {options})")
                )
            else:
                changed.append(f"ALTER TABLE {table} ALTER COLUMN id SET GENERATED BY DEFAULT")
        return self.sequence_rights(self._queued(changed))

    def _of_tables(self, steps: list[Step]) -> list[tuple[str, str]]:
        return [(table, step.text) for step in steps for table in TABLES if f"LOCK TABLE {table} " in step.text]

    def sequences_back(self, steps: list[Step]) -> list[Step]:
        """005 back: a sequence has to have its table's owner, who need not be the one that migrates."""
        owners = dict(self.database.execute_sql(_OWNERS, (list(TABLES),)).fetchall())
        changed, before = [], self.record.before
        always = {each.table for each in before.columns if each.name == "id" and each.identity == "a"}
        for table, text in self._of_tables(steps):
            if table in before.sequences:
                changed.append(_owned(text, table, owners[table], before.sequences[table][0]))
            elif table in always:
                changed.append(f"ALTER TABLE {table} ALTER COLUMN id SET GENERATED ALWAYS")
        return self.sequence_rights(self._queued(changed))

    def sequence_rights(self, steps: list[Step]) -> list[Step]:
        """005 both ways: a sequence that is made anew has lost its grants, and may have got others by default."""
        names = [f"{table}_id_seq" for table in TABLES]
        grants = self.database.execute_sql(_SEQUENCE_GRANTS, (names,)).fetchall()
        return steps + self._queued([clearing(names), *(grant for (grant,) in grants)])

    def settled(self, steps: list[Step]) -> list[Step]:
        """008: what the old application wrote since rows were settled is settled first."""
        migrator = Migrator(self.database)
        settling = Settling(self.database, self.record.choices)

        def settle_rows() -> None:
            settling()

        migrator.run(settle_rows)
        return migrator.steps + steps

    def keys(self, steps: list[Step]) -> list[Step]:
        """010 both ways: all but the primary keys."""
        texts = [_without_primary_keys(step.text) for step in steps]
        return self._queued(text for text in texts if text)

    def kept_indexes(self, steps: list[Step]) -> list[Step]:
        """011: the old application's indexes survive under another name."""
        renames = [f"ALTER INDEX IF EXISTS {old} RENAME TO {kept}" for old, kept in KEPT_INDEXES.items()]
        return self._queued(renames) + steps

    def indexes_again(self, steps: list[Step]) -> list[Step]:
        """011 back."""
        renames = [f"ALTER INDEX IF EXISTS {kept} RENAME TO {old}" for old, kept in KEPT_INDEXES.items()]
        return self._queued(renames) + steps

    def policies(self, steps: list[Step]) -> list[Step]:
        """019: the moment row-level security holds, the old roles see the adopted organization."""
        roles = ", ".join(quote_identifier(role) for role in self.record.old_roles)
        held = f"organization_id = {self._organization_id():d}"
        # The second one narrows: a role that also inherits rayces_admin would see every organization.
        added = [
            f"CREATE POLICY {name} ON {table} {kind} TO {roles} USING ({held}) WITH CHECK ({held})"
            for table in TABLES
            for name, kind in ((POLICY, ""), (ONLY_POLICY, "AS RESTRICTIVE"))
        ]
        added += self._narrowed(tenant_tables(HELD_FROM))
        granted = [_grant(right, quote_identifier(str(right[3]))) for right in self.record.before.role_grants]
        granted += [f"GRANT USAGE ON SEQUENCE {name} TO {self._ours()}" for name in self._sequences_of_defaults()]
        return self._queued([_LOCK_ALL]) + steps + self._queued([*added, *granted])

    def _ours(self) -> str:
        return f"{quote_identifier(self.database.app_role)}, {quote_identifier(self.database.admin_role)}"

    def _sequences_of_defaults(self) -> list[str]:
        """Sequences that MyHub's own columns take their values from, whoever writes the row."""
        return [name for (name,) in self.database.execute_sql(_DEFAULTS, (list(TABLES),)).fetchall()]

    def narrowed(self, steps: list[Step]) -> list[Step]:
        """After 019, wherever a table is made: a role that inherits rayces_admin too sees no other organization."""
        made = _made(steps)
        return steps + self._queued(self._narrowed(made)) if made else steps

    def _narrowed(self, tables: Iterable[str]) -> list[str]:
        roles, key = ", ".join(quote_identifier(role) for role in self.record.old_roles), self._organization_id()
        return [
            f"CREATE POLICY {ONLY_POLICY} ON {table} AS RESTRICTIVE TO {roles} "
            f"USING ({'id' if table == 'organizations' else 'organization_id'} = {key:d})"
            for table in tables
        ]

    def without_policies(self, steps: list[Step]) -> list[Step]:
        """019 back: what everybody had is everybody's again, instead of the old roles'."""
        drops = [f"DROP POLICY IF EXISTS {name} ON {table}" for table in TABLES for name in (POLICY, ONLY_POLICY)]
        drops += [f"DROP POLICY IF EXISTS {ONLY_POLICY} ON {table}" for table in tenant_tables(HELD_FROM)]
        revoked = [_revoke(right, quote_identifier(str(right[3]))) for right in self.record.before.role_grants]
        revoked += [f"REVOKE USAGE ON SEQUENCE {name} FROM {self._ours()}" for name in self._sequences_of_defaults()]
        granted = [_grant(right, "PUBLIC") for right in self.record.before.public_grants]
        return self._queued(drops) + steps + self._queued([*revoked, *granted])

    def _organization_id(self) -> int:
        return organization_id(self.database)

    def _queued(self, statements: Iterable[str]) -> list[Step]:
        migrator = Migrator(self.database)
        for statement in statements:
            migrator.sql(statement)
        return migrator.steps


def tenant_tables(up_to: int) -> list[str]:
    """Names of the tables beside MyHub's that migrations up to this number make."""
    return made_tables([file for file in read_directory(None) if file.number <= up_to])


def _made(steps: list[Step]) -> list[str]:
    return [name for step in steps for name in re.findall(r"CREATE TABLE (\w+)", step.text)]


def _without_primary_keys(text: str) -> str:
    """A statement of 010 without what exchanges primary keys; empty when it is for nothing else."""
    if "CONCURRENTLY" in text and text.rpartition(" (")[2] == "id)":
        return ""
    return ";\n".join(statement for statement in text.split(";\n") if "_pkey" not in statement)


def _owned(text: str, table: str, owner: str, options: str) -> str:
    change = f"ALTER SEQUENCE {table}_id_seq"
    return text.replace(
        f"CREATE SEQUENCE {table}_id_seq OWNED BY {table}.id",
        f"CREATE SEQUENCE {table}_id_seq {options}; {change} OWNER TO {owner}; {change} OWNED BY {table}.id",
    )


def _grant(right: list[str | None], role: str) -> str:
    return f"GRANT {_right(*right[1:3])} ON {right[0]} TO {role}"


def _revoke(right: list[str | None], role: str) -> str:
    return f"REVOKE {_right(*right[1:3])} ON {right[0]} FROM {role}"


def _right(privilege: str | None, column: str | None) -> str:
    return f"{privilege} ({quote_identifier(column)})" if column else str(privilege)


_FORTH: dict[int, Around] = {
    2: Transition.organization,
    3: Transition.defaults,
    4: Transition.zoned,
    5: Transition.identities,
    6: Transition.addresses,
    7: Transition.rules,
    8: Transition.settled,
    10: Transition.keys,
    11: Transition.kept_indexes,
    19: Transition.policies,
}
_BACK: dict[int, Around] = {
    3: Transition.without_column,
    4: Transition.timestamps,
    5: Transition.sequences_back,
    6: Transition.addresses_back,
    10: Transition.keys,
    11: Transition.indexes_again,
    19: Transition.without_policies,
}
