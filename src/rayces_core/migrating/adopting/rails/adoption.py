"""The adoption of a rayces Rails database: its organizations become tenants, in one exchange of all tables, or back.

Rule it guards: the old tables are not touched but moved; until the one transaction that exchanges them is committed,
everything is as it was, and afterwards nothing is half done. A stopped run is begun again by the same call.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import peewee
import psycopg2
from psycopg2.extensions import make_dsn

from rayces_core.errors import ConfigurationError, MigrationError
from rayces_core.migrating.adopting import record as memory
from rayces_core.migrating.adopting.addresses import AS_GIVEN
from rayces_core.migrating.adopting.comparing import unlike
from rayces_core.migrating.adopting.finding import Finding, Report, answered, checked_choices, refuse_open
from rayces_core.migrating.adopting.inherited import inherited, refuse_inherited
from rayces_core.migrating.adopting.rails import access, faults, moving, recognition
from rayces_core.migrating.adopting.rails.baring import bare
from rayces_core.migrating.adopting.rails.copying import FILLED, copy, plan
from rayces_core.migrating.adopting.rails.old import TABLES, Old, read
from rayces_core.migrating.adopting.rails.outcome import RailsOutcome
from rayces_core.migrating.adopting.rails.written import digests, written_since
from rayces_core.migrating.adopting.recognition import old_logins
from rayces_core.migrating.adopting.record import Before, Record
from rayces_core.migrating.catalogue import entries, fingerprint
from rayces_core.migrating.execution import Observer
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.myhub import ADOPTED, ADOPTING, FINISHED, RECORD, SET_ASIDE
from rayces_core.migrating.roles import ensure_roles
from rayces_core.migrating.runner import Runner
from rayces_core.migrations.retry import RETRYABLE, retrying, sqlstate
from rayces_core.migrations.session import Progress, connected, quote_identifier, single_runner
from rayces_core.migrations.steps import Migrator

# Whoever writes waits for as long as the exchange; it is given up, and tried again later, before that gets long.
LONGEST_EXCHANGE_SECONDS = 5.0
_EXTENSION = 14


class RailsAdoption:
    """Turns the database of a rayces Rails application into this library's, each organization a tenant.

    Args:
        database, old_roles, choices, app_role, admin_role, lock_wait_seconds, retry_seconds, on_step, on_progress:
            as for `Adoption`.
        name, subdomain: not needed, as the organizations have theirs; refused where given.
    """

    needs_name = False
    """Whether the organization's name and subdomain have to be given."""

    # A rehearsal runs the same code, and notes what it sends.
    _runner_kind: type[Runner] = Runner

    def __init__(
        self,
        database: Any,
        *,
        name: str | None = None,
        subdomain: str | None = None,
        old_roles: Sequence[str] = (),
        choices: Mapping[str, str] | None = None,
        app_role: str = "rayces_app",
        admin_role: str = "rayces_admin",
        lock_wait_seconds: float = 60.0,
        retry_seconds: float = 300.0,
        on_step: Observer | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        if name or subdomain:
            raise ConfigurationError(
                "this database has organizations of its own, each of which becomes a tenant under its own name and "
                "subdomain; leave the organization's name and subdomain out"
            )
        self.old_roles, self.choices = list(old_roles), checked_choices(choices or {})
        self._options = {
            "app_role": app_role,
            "admin_role": admin_role,
            "retry_seconds": retry_seconds,
            "on_step": on_step,
            "on_progress": on_progress,
        }
        self.runner = self._runner_kind(database, lock_wait_seconds=lock_wait_seconds, **self._options)  # type: ignore[arg-type]
        self.database = self.runner.database

    def report(self) -> Report:
        """What was found and what is chosen for it; nothing is changed.

        Raises:
            MigrationError: the database is none of rayces' Rails application, or is migrated by rayces already.
        """
        with connected(self.database):
            record = memory.remembered(self.database)
            if record is not None and record.stage != ADOPTING:
                return Report(record.stage, ())
            return Report(record.stage if record else None, tuple(self._findings(record)))

    def run(self) -> RailsOutcome:
        """Adopt the database; the old application may read meanwhile, and waits with writing while rows are copied.

        Raises:
            MigrationError: a finding is open, the adoption has ended, or a statement failed; then all is as it was.
            MissingRoleError: the roles are missing and the login may not create them.
        """
        with self._alone():
            record = self._begun()
            if record.stage == ADOPTED:
                return self._outcome(ADOPTED)
            done = self._make_ours()
            with _explained("adopting"):
                copied, told, seconds = retrying(
                    lambda _: self._exchange(record), "adopting", self.database.retry_seconds
                )
            return replace(self._outcome(ADOPTED, done, copied, told), seconds=seconds)

    def finish(self) -> RailsOutcome:
        """Take away what only the old application needed; it must be gone. Its tables stay in `rayces_before`.

        Raises:
            MigrationError: the adoption is not complete.
        """
        with self._alone():
            record = memory.known(self.database)
            if record.stage not in (ADOPTED, FINISHED):
                raise MigrationError("the adoption is not complete; run `rayces migrate adopt` first")
            refuse_inherited(self.database, record.old_roles)
            with self.database.atomic():
                for statement in access.shutting_out(self.database, record.old_roles):
                    self.database.command(statement)
                self.database.command(f"ALTER TABLE users DROP COLUMN IF EXISTS {AS_GIVEN}")
                memory.change(self.database, stage=FINISHED)
            return self._outcome(FINISHED)

    def undo(self, *, yes: bool = False) -> RailsOutcome:
        """Bring the old tables back as they were; what was written since the adoption is lost.

        Args:
            yes: drop rows that were written since.

        Raises:
            MigrationError: there is no adoption to undo, or rows would be lost.
        """
        with self._alone():
            record = memory.known(self.database)
            if record.stage == FINISHED:
                raise MigrationError("the adoption is finished, and what led back is gone with it")
            facts = self._facts()
            if record.stage == ADOPTED:
                self._refuse_losses(facts, yes=yes)
                with _explained("going back"):
                    retrying(lambda _: self._bring_back(record, facts), "going back", self.database.retry_seconds)
            self._forget()
            return RailsOutcome(None, None, (), {}, unlike(self.database, facts["catalogue"], entries(self.database)))

    # -- how ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with single_runner(self.database, self.runner.migrate_table, self.runner.lock_wait_seconds):
            yield

    def _begun(self) -> Record:
        record = memory.remembered(self.database)
        if record is not None and record.stage == FINISHED:
            raise MigrationError("this database is adopted and finished; use `rayces migrate up`")
        if record is not None and record.stage == ADOPTED:
            return record
        self._refuse_open(self._findings(record), "this database cannot be adopted as it is; nothing was changed")
        if record is None:
            ensure_roles(self.database)
            self._remember()
        else:
            memory.change(self.database, stage=ADOPTING, choices=self.choices)
            self._look_again()
        return memory.known(self.database)

    def _refuse_open(self, found: Sequence[Finding], why: str) -> None:
        refuse_open(found, why)

    def _remember(self) -> None:
        was = fingerprint(self.database)
        with self.database.atomic():
            ours = (self.database.app_role, self.database.admin_role)
            memory.begin(self.database, Record(ADOPTING, "", "", self._roles(), *ours, self.choices, Before()))
            self.database.command(f"ALTER TABLE {RECORD} ADD COLUMN rails jsonb")
            self._note({"catalogue": was})

    def _look_again(self) -> None:
        """The old application may have changed its tables since the adoption was begun."""
        was = set(self._facts()["catalogue"])
        now = [line for line in fingerprint(self.database) if RECORD not in line and SET_ASIDE not in line]
        self._note({"catalogue": [line for line in now if line in was or not line.startswith("extension ")]})

    def _note(self, facts: dict[str, Any]) -> None:
        self.database.execute_sql(
            f"UPDATE {RECORD} SET rails = coalesce(rails, '{{}}') || %s::jsonb", (json.dumps(facts),)
        )

    def _facts(self) -> dict[str, Any]:
        return dict(self.database.one(f"SELECT rails FROM {RECORD}") or {})

    def _roles(self) -> list[str]:
        return old_logins(self.database, self.old_roles, TABLES)

    def _findings(self, record: Record | None) -> list[Finding]:
        choices = {**(record.choices if record else {}), **self.choices}
        if record is None:
            recognition.refuse_foreign(self.database, self.runner.migrate_table)
        old = read(self.database, self.database.schema)
        shape = [
            *inherited(self.database, record.old_roles if record else self._roles()),
            *answered(recognition.shape(self.database, old, self.runner.migrate_table), choices),
        ]
        if any(finding.severity == "refusal" for finding in shape):
            return shape
        started = time.monotonic()
        with self.database.atomic() as transaction:
            self.database.command("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0")
            plan(self.database, old, choices)
            rows = list(faults.found(self.database, choices))
            rows += answered(recognition.roles(self.database, old), choices)
            rows += recognition.spelling(self.database)
            counts = [(table, self.database.one(f"SELECT count(*) FROM plan_{table}")) for table in TABLES]
            transaction.rollback()
        notes = [*recognition.carried(old), *recognition.unheld(self.database, self._roles())]
        return [*shape, *recognition.unlike(old), *rows, *notes, _told(counts, time.monotonic() - started)]

    def _make_ours(self) -> list[str]:
        """The tables of this library, empty, in a schema of their own that nobody else knows."""
        extension = Migrator(self.database)
        read_directory(None)[_EXTENSION - 1].load().migrate(extension, self.database)
        extension()
        self.database.command(f"CREATE SCHEMA IF NOT EXISTS {moving.STAGING}")
        return self._staging_runner().up()

    def _staging_runner(self) -> Runner:
        return self._runner_kind(self._staging_url(), **self._options)  # type: ignore[arg-type]

    def _staging_url(self) -> str:
        # Nothing but the schema of ours is seen: a step that is repeated after a kill would find its `DROP INDEX IF
        # EXISTS` done there, and take the old application's index of that name.
        facts = {name: value for name, value in self.database.connect_params.items() if name != "application_name"}
        options = f"{facts.pop('options', '')} -c search_path={moving.STAGING}".strip()
        return make_dsn(dbname=self.database.database, options=options, **facts)

    def _exchange(self, record: Record) -> tuple[dict[str, int], list[str], float]:
        """All of it or nothing: plan, copy, prove and exchange, in one transaction."""
        database, schema = self.database, self.database.schema
        staging = quote_identifier(moving.STAGING)
        with database.atomic():
            database.command("SET LOCAL statement_timeout = 0")
            aside = recognition.aside(database, self.runner.migrate_table)
            tables = [name for name, word in aside.items() if word == "TABLE"]
            moving.hold_writers(database, schema, tables)
            held_since = time.monotonic()
            old = read(database, schema)
            plan(database, old, record.choices)
            found = list(faults.found(database, record.choices))
            self._refuse_open(found, "rows that do not fit were written meanwhile; answer them and run it again")
            for statement in faults.keeping(old):
                database.command(statement)
            extras = self._carry(old, staging)
            # The owner is held like everybody, and has no organization; it is let through for this transaction.
            self._force(staging, "NO FORCE")
            copied = self._copied(old, staging)
            self._force(staging, "FORCE")
            ours = recognition.our_tables()
            written = digests(database, ours, staging)
            moving.lock_for_exchange(database, schema, tables, LONGEST_EXCHANGE_SECONDS)
            moving.exchange(database, schema, aside)
            for statement in access.letting_in(database, old, record.old_roles, record.choices, ours):
                database.command(statement)
            self._note({"aside": aside, "digests": written})
            database.execute_sql(
                f"UPDATE {RECORD} SET before = jsonb_set(before, '{{catalogue}}', %s::jsonb)",
                (json.dumps(extras + _grants(record.old_roles)),),
            )
            memory.change(database, stage=ADOPTED)
        return copied, [f"{finding.what}; {finding.chosen}" for finding in found], time.monotonic() - held_since

    def _copied(self, old: Old, staging: str) -> dict[str, int]:
        bared = bare(self.database, staging, FILLED)
        for statement in bared.dropping():
            self.database.command(statement)
        copied = copy(self.database, old, staging)
        for statement in bared.making():
            self.database.command(statement)
        return copied

    def _carry(self, old: Old, staging: str) -> list[str]:
        """Columns that this library has no use for are made, so that their values come along."""
        self.database.command(f"ALTER TABLE {staging}.users ADD COLUMN {AS_GIVEN} character varying")
        lines = [f"column users.{AS_GIVEN} character varying"]
        for table in TABLES:
            for name, column in old.carried(table):
                default = column.default if column.default and "nextval" not in column.default else None
                rest = f" DEFAULT {default}" if default else ""
                self.database.command(
                    f"ALTER TABLE {staging}.{table} ADD COLUMN {quote_identifier(name)} {column.type}{rest}"
                )
                lines.append(f"column {table}.{name} {column.type}" + (f" default {default}" if default else ""))
        return lines

    def _force(self, schema: str, force: str) -> None:
        for table in FILLED:
            self.database.command(f"ALTER TABLE {schema}.{table} {force} ROW LEVEL SECURITY")

    def _refuse_losses(self, facts: dict[str, Any], *, yes: bool) -> None:
        lost = written_since(self.database, facts["digests"], recognition.our_tables())
        if lost and not yes:
            raise MigrationError(
                f"going back would drop what was written since the adoption in {', '.join(lost)}; --yes says so"
            )

    def _bring_back(self, record: Record, facts: dict[str, Any]) -> None:
        with self.database.atomic():
            self.database.command(f"SET LOCAL lock_timeout = {moving.LOCK_TIMEOUT_MS:d}")
            for statement in access.shutting_out(self.database, record.old_roles):
                self.database.command(statement)
            ours = [*recognition.our_tables(), self.runner.migrate_table]
            moving.restore(self.database, self.database.schema, ours, facts["aside"])
            # All that was set aside is in its table again.
            self.database.command(f"DROP TABLE IF EXISTS {SET_ASIDE}")
            memory.change(self.database, stage=ADOPTING)

    def _forget(self) -> None:
        self.database.command(f"DROP SCHEMA IF EXISTS {moving.STAGING} CASCADE")
        extension = Migrator(self.database)
        read_directory(None)[_EXTENSION - 1].load().rollback(extension, self.database)
        extension()
        memory.forget(self.database)

    def _outcome(
        self,
        stage: str,
        done: Sequence[str] = (),
        copied: dict[str, int] | None = None,
        told: Sequence[str] = (),
    ) -> RailsOutcome:
        with self.database.atomic():
            self.database.command(f"SET LOCAL ROLE {quote_identifier(self.database.admin_role)}")
            rows = self.database.execute_sql("SELECT id FROM organizations ORDER BY id").fetchall()
        counts = memory.set_aside_counts(self.database)
        return RailsOutcome(
            stage,
            None,
            tuple(done),
            counts,
            (),
            tuple(key for (key,) in rows),
            copied or {},
            tuple(told),
            access.search_path(self.database.schema),
        )


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (peewee.PeeweeException, psycopg2.Error) as error:
        where = "\nAnother session was in the way; try again once it is done." if sqlstate(error) in RETRYABLE else ""
        raise MigrationError(f"{what}: {str(error).strip()}{where}\nNothing was changed.") from error


def _grants(roles: Sequence[str]) -> list[str]:
    """The lines of the catalogue that the old roles' rights are."""
    return [
        f"grant {right.strip().lower()} on {table} to {role}"
        for table, granted in access.GRANTS.items()
        for right in granted.split(",")
        for role in roles
    ]


def _told(counts: Sequence[tuple[str, int]], seconds: float) -> Finding:
    rows = ", ".join(f"{count} {table}" for table, count in counts)
    return Finding(
        "rows",
        "note",
        f"{rows} would be copied; reading and sorting them took {seconds:.1f} s",
        "whoever writes waits for about three times as long while they are copied; reading goes on until the end",
        sum(count for _, count in counts),
    )
