"""The adoption of one MyHub, from its first look to the day the old application is gone, or back.

Rule it guards: the whole of it holds the lock of the only runner; wherever it is stopped, the same call goes on there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from rayces_core.errors import InvalidDataError, MigrationError
from rayces_core.migrating.adopting import addresses, authors, loosening, recognition, rows, shaping
from rayces_core.migrating.adopting import record as memory
from rayces_core.migrating.adopting.ending import exchange_for_good, refuse_losses, refuse_other_keys, unlike_before
from rayces_core.migrating.adopting.finding import Finding, Report, answered, checked_choices, refuse_open
from rayces_core.migrating.adopting.inherited import inherited, refuse_inherited
from rayces_core.migrating.adopting.notes import notes
from rayces_core.migrating.adopting.privileges import taking_back
from rayces_core.migrating.adopting.record import Record
from rayces_core.migrating.adopting.transition import AdoptingExecution
from rayces_core.migrating.execution import Observer
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.history import APPLIED
from rayces_core.migrating.myhub import ADOPTED, ADOPTING, FINISHED, UNDOING
from rayces_core.migrating.roles import ensure_roles
from rayces_core.migrating.runner import Runner
from rayces_core.migrations.session import Progress, connected, single_runner
from rayces_core.migrations.steps import Migrator

_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# From here on the database itself refuses what would not fit.
_ROWS_FIT_FROM = 8
_ADDRESSES_FIT_FROM = 6
_BEFORE_TIMESTAMPS, _TIMESTAMPS = 3, 4


class AdoptingRunner(Runner):
    """Runs this library's migrations with what an adoption adds to them."""

    _execution_kind: type[AdoptingExecution] = AdoptingExecution
    _is_adoption = True

    @property
    def execution(self) -> AdoptingExecution:
        """What runs the steps."""
        return cast("AdoptingExecution", self._execution)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done.

    Attributes:
        stage: adopted, finished, or None after the way back.
        organization_id: the organization that MyHub is now; None after the way back.
        migrations: names of the migrations applied or undone by this call, in that order.
        set_aside: table → rows of it that `rayces_set_aside` keeps.
        differences: lines of the catalogue in which MyHub differs from what it was, after the way back.
    """

    stage: str | None
    organization_id: int | None
    migrations: tuple[str, ...]
    set_aside: dict[str, int]
    differences: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What to tell of it where it is no MyHub's."""
        return ()


class Adoption:
    """Turns the database of a running MyHub into one organization of this library.

    Args:
        database: a libpq URL, a Peewee PostgresqlDatabase, or an object with `url`; its login must own the tables.
        name, subdomain: of the organization; needed by `run()` the first time.
        old_roles: logins of the old application; default: the owners of its tables.
        choices: kind of finding → what shall be done, as `Report` names them.
        app_role, admin_role, lock_wait_seconds, retry_seconds, on_step, on_progress: as for `Runner`.
    """

    needs_name = True
    """Whether the organization's name and subdomain have to be given."""

    # A rehearsal runs the same code, measured.
    _runner_kind: type[AdoptingRunner] = AdoptingRunner

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
        self.name, self.subdomain = name, subdomain
        self.old_roles, self.choices = list(old_roles), checked_choices(choices or {})
        _refuse_bad_names(name, subdomain)
        self.runner = self._runner_kind(
            database,
            app_role=app_role,
            admin_role=admin_role,
            lock_wait_seconds=lock_wait_seconds,
            retry_seconds=retry_seconds,
            on_step=on_step,
            on_progress=on_progress,
        )
        self.database = self.runner.database
        self._run = shaping.one_by_one(self.runner.execution, "preparation")

    def report(self) -> Report:
        """What was found and what is chosen for it; nothing is changed.

        Raises:
            MigrationError: the database is no MyHub, is migrated by rayces already, or other roles were named before.
        """
        with connected(self.database):
            record = memory.remembered(self.database)
            return Report(record.stage if record else None, tuple(self._findings(record)))

    def run(self) -> Outcome:
        """Adopt the database, or go on where an earlier call was stopped; the old application may run meanwhile.

        Raises:
            MigrationError: a finding is open, another adoption was begun here, or a statement failed.
            InvalidDataError: there is no name or subdomain, or it is malformed.
            MissingRoleError: the roles are missing and the login may not create them.
        """
        with self._alone():
            record = self._begun()
            self.runner.execution.record = record
            if self._applied() < 1:
                self._prepare(record)
            self._run(taking_back([self.runner.migrate_table], record.old_roles))
            done = self._migrate(record)
            if record.choices.get("unique-indexes") == "per-organization":
                loosening.narrow_unique_indexes(self.database, record.before, self._run, harmless=False)
            memory.change(self.database, stage=ADOPTED)
            return self._outcome(ADOPTED, done)

    def finish(self) -> Outcome:
        """Take away what only the old application needed; it must be gone. Harmless to repeat.

        Raises:
            MigrationError: the adoption is not complete, or other tables refer to the old primary keys.
        """
        with self._alone():
            record = memory.known(self.database)
            if record.stage not in (ADOPTED, FINISHED):
                raise MigrationError("the adoption is not complete; run `rayces migrate adopt` first")
            refuse_inherited(self.database, record.old_roles)
            self.runner.execution.record = record
            refuse_other_keys(self.database)
            exchange_for_good(self.database, self._run)
            authors.end(record.before, record.choices, self._run)
            loosening.narrow_unique_indexes(self.database, record.before, self._run, harmless=True)
            self._call(
                addresses.compare_exactly_for_good,
                self.database,
                loosening.type_while_adopted(record, "users", "email"),
            )
            memory.change(self.database, stage=FINISHED)
            outcome = self._outcome(FINISHED, [])
            memory.drop_set_aside_if_empty(self.database)
            return outcome

    def undo(self, *, yes: bool = False) -> Outcome:
        """Go back to plain MyHub, from wherever the adoption stands; addresses as given return, rows set aside stay.

        Args:
            yes: drop the rows of bookings, credits and other tables that MyHub does not have.

        Raises:
            MigrationError: there is no adoption to undo, or rows would be lost.
        """
        with self._alone():
            record = memory.known(self.database)
            if record.stage == FINISHED:
                raise MigrationError("the adoption is finished, and what led back is gone with it")
            refuse_losses(self.database, yes=yes)
            loosening.refuse_unfit(self.database, record)
            memory.change(self.database, stage=UNDOING)
            self.runner.execution.record = record
            loosening.widen_unique_indexes(self.database, record.before, self._run)
            done = self._back(record)
            # Defaults before NOT NULL, and whoever gives posts their author after it: the old application goes on.
            loosening.tighten(self.database, record, self._run)
            shaping.restore(self.database, record.before, self._run)
            if not authors.lacks_authors(record.before):
                authors.end(record.before, record.choices, self._run)
            authors.forget_author(self.database, record.before)
            loosening.rename_back(self.database, record.before, self._run)
            outcome = Outcome(None, None, tuple(done), memory.set_aside_counts(self.database))
            memory.forget(self.database)
            return replace(outcome, differences=unlike_before(self.database, record.before))

    # -- how ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with single_runner(self.database, self.runner.migrate_table, self.runner.lock_wait_seconds):
            self.runner.execution.alone_steps = 0
            with self.runner.execution.lookout.on_duty():
                yield

    def _applied(self) -> int:
        """The number of the newest migration that the history knows of as applied."""
        applied = [name for name, row in self.runner.history.rows().items() if row.state == APPLIED]
        return max((int(name.partition("_")[0]) for name in applied), default=0)

    def _findings(self, record: Record | None) -> list[Finding]:
        choices = {**(record.choices if record else {}), **self.choices}
        found: list[Finding] = []
        if record is None:
            recognition.refuse_foreign(self.database, self.runner.migrate_table)
        applied = self._applied()
        roles = record.old_roles if record else recognition.old_logins(self.database, self.old_roles)
        if record is None or record.stage != FINISHED:
            found += self._inherited(roles)
        if applied < 1:
            roles = recognition.old_logins(self.database, roles)
            found += answered(recognition.findings(self.database, read_directory(None), choices), choices)
            found += notes(self.database, roles)
        readable = not any(finding.kind == "tables" for finding in found)
        if readable and applied < _ROWS_FIT_FROM:
            found += rows.findings(self.database, choices)
        if readable and applied < _ADDRESSES_FIT_FROM:
            found += addresses.findings(self.database, choices)
        return found

    def _inherited(self, roles: Sequence[str]) -> Iterator[Finding]:
        return inherited(self.database, roles)

    def _begun(self) -> Record:
        """The adoption as the database remembers it, begun if it was not; every finding is answered."""
        record = memory.remembered(self.database)
        if record is None:
            refuse_open(self._findings(None))
            ensure_roles(self.database)
            memory.begin(self.database, self._new_record())
            return memory.known(self.database)
        self._refuse_other(record)
        refuse_open(self._findings(record))
        stage = ADOPTED if record.stage == ADOPTED else ADOPTING
        memory.change(self.database, stage=stage, choices=self.choices)
        return memory.known(self.database)

    def _new_record(self) -> Record:
        if not self.name or not self.subdomain:
            raise InvalidDataError("Organization.name", self.name, "an adoption needs a name and a subdomain")
        roles = recognition.old_logins(self.database, self.old_roles)
        before = memory.picture(self.database, roles, **recognition.shape(self.database))
        ours = (self.database.app_role, self.database.admin_role)
        return Record(ADOPTING, self.name, self.subdomain, roles, *ours, self.choices, before)

    def _refuse_other(self, record: Record) -> None:
        if record.stage == FINISHED:
            raise MigrationError("this MyHub is adopted and finished; use `rayces migrate up`")
        given = (self.name or record.name, self.subdomain or record.subdomain)
        if given != (record.name, record.subdomain):
            raise MigrationError(
                f"this MyHub is being adopted as {record.name!r}, subdomain {record.subdomain!r}; say the same, or go "
                "back with `rayces migrate adopt --undo` first"
            )
        self._refuse_other_spelling(record)
        if self.old_roles and sorted(self.old_roles) != sorted(record.old_roles):
            raise MigrationError(
                f"the adoption was begun for the old roles {', '.join(record.old_roles)}; say the same, or go back "
                "with `rayces migrate adopt --undo` first"
            )

    def _refuse_other_spelling(self, record: Record) -> None:
        was, given = (choices.get(addresses.KIND) for choices in (record.choices, self.choices))
        if was and given and was != given:
            raise MigrationError(
                f"the adoption was begun with --fix {addresses.KIND}={was}; say the same, or go back with "
                "`rayces migrate adopt --undo` first"
            )

    def _prepare(self, record: Record) -> None:
        """Bring rows and tables to what 001 makes, and note it as applied."""
        loosening.rename(record.before, self._run)
        loosening.loosen(record, self._run)
        authors.give_authors(self.database, record, self._run)
        complete = "foreign-keys" in record.choices or authors.lacks_authors(record.before)
        if complete:
            shaping.complete_foreign_keys(self.database, self._run)
        self._call(rows.Settling(self.database, record.choices))
        if complete:
            shaping.validate_foreign_keys(self.database, self._run)
        if "nullable-references" in record.choices:
            allowed = ["posts.user_id"] if record.choices.get(authors.KIND) == authors.NULLABLE else []
            shaping.make_references_obligatory(self.database, self._run, but=allowed)
        if "nullable-times" in record.choices:
            shaping.make_times_obligatory(self.database, self._run, partial(self._call, rows.fill_times, self.database))
        self.runner.run("001_myhub", fake=True)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        migrator = Migrator(self.database)
        migrator.run(function, *arguments)
        self.runner.execution.run_alone("preparation", migrator.steps[0])

    def _migrate(self, record: Record) -> list[str]:
        done = self.runner.up(_BEFORE_TIMESTAMPS)
        if self._applied() < _TIMESTAMPS:
            shaping.drop_timestamp_indexes(record.before, self._run)
            done += self.runner.up(_TIMESTAMPS)
        shaping.build_timestamp_indexes(self.database, record.before, self._run)
        return done + self.runner.up()

    def _back(self, record: Record) -> list[str]:
        if not self.runner.history.exists:
            return []
        done = self.runner.down(_TIMESTAMPS)
        if self._applied() >= _TIMESTAMPS:
            shaping.drop_timestamp_indexes(record.before, self._run)
            done += self.runner.down(_BEFORE_TIMESTAMPS)
        shaping.build_timestamp_indexes(self.database, record.before, self._run)
        done += self.runner.down(1)
        if self.runner.history.rows():
            self.runner.run_one("001_myhub", fake=True, downgrade=True)
        self.runner.history.drop_if_empty()
        return done

    def _outcome(self, stage: str, done: list[str]) -> Outcome:
        return Outcome(
            stage, memory.organization_id(self.database), tuple(done), memory.set_aside_counts(self.database)
        )


def _refuse_bad_names(name: str | None, subdomain: str | None) -> None:
    if name is not None and not name.strip():
        raise InvalidDataError("Organization.name", name, "it is blank")
    if subdomain is not None and not _SUBDOMAIN.fullmatch(subdomain):
        raise InvalidDataError(
            "Organization.subdomain", subdomain, "it has to be small letters, digits and hyphens, at most 63"
        )
