"""Several histories as one: this library's migrations and then a host's directories, in the order that was said.

Rule it guards: what could stop a later history is looked at before the first one is touched; `down` undoes one history
only, and never what an applied migration of another one needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from rayces_core.errors import ConfigurationError, MigrationError
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.requirements import history_elsewhere, refuse_leaning
from rayces_core.migrating.runner import Runner
from rayces_core.migrating.status import MigrationStatus
from rayces_core.migrating.undoing import Undoing
from rayces_core.migrations.session import connected

NOTHING = "-- nothing to do\n"


class Line:
    """The runners of one database, in order, and which of them a command is about.

    Args:
        runners: of every history, each after those that it stands on.
        only: name of the one that is meant; None: all of them.
        derived: tables of histories whose names nobody gave.
    """

    def __init__(self, runners: Sequence[Runner], *, only: str | None = None, derived: Iterable[str] = ()) -> None:
        self.runners, self._derived = tuple(runners), frozenset(derived)
        self.chosen = tuple(runner for runner in runners if only in (None, runner.name))
        if not self.chosen:
            raise ConfigurationError(f"there is no history {only!r}; there are {self._listed}")

    @property
    def beneath(self) -> tuple[Runner, ...]:
        """The runners before the first one that is meant."""
        return self.runners[: self.runners.index(self.chosen[0])]

    @property
    def beside(self) -> tuple[Runner, ...]:
        """All runners but the last one that is meant."""
        return tuple(runner for runner in self.runners if runner is not self.chosen[-1])

    def one(self, option: str) -> Runner:
        """The runner that an option speaks of, where there is no doubt; ConfigurationError where there is."""
        if len(self.chosen) > 1:
            raise ConfigurationError(f"{option} is of one history: say with --only which of {self._listed}")
        return self.chosen[0]

    def up(self, to: int | str | None = None) -> list[tuple[str, MigrationStatus]]:
        """Apply what is pending, history by history; of a single one up to `to`. Gives what was applied, by history.

        Raises as `Runner.up` does, for a later history before anything of an earlier one is run.
        """
        self._refuse(to)
        applied = []
        for runner in self.chosen:
            names = runner.up(to)
            applied += [(runner.name, state) for state in runner.status() if state.name in names]
        return applied

    def down(
        self, to: int | str | None = None, *, count: int | None = None, yes: bool = False
    ) -> list[tuple[str, MigrationStatus]]:
        """Undo migrations of the last history that is meant, as `Runner.down` does; gives them, newest first.

        Raises MigrationError too where an applied migration of another history needs what would be undone.
        """
        runner = self.chosen[-1]
        self._refuse_undoing(runner, to, count)
        names = runner.down(to, count=count, yes=yes)
        states = {state.name: state for state in runner.status()}
        return [(runner.name, states[name]) for name in names]

    def undoing(self, to: int | str | None = None, *, count: int | None = None) -> Undoing:
        """What `down(to, count=count)` would take away, and what would stop it; nothing is run."""
        self._refuse_undoing(self.chosen[-1], to, count)
        return self.chosen[-1].undoing(to, count=count)

    def fake(self, to: int | str) -> list[tuple[str, MigrationStatus]]:
        """Note migrations of one history as applied, up to `to`."""
        runner = self.one("--to")
        names = runner.run(str(to), fake=True)
        return [(runner.name, state) for state in runner.status() if state.name in names]

    def status(self) -> list[tuple[str, MigrationStatus]]:
        """Every migration with its state, history by history."""
        self._refuse_moved()
        return [(runner.name, state) for runner in self.chosen for state in runner.status()]

    def up_script(self, to: int | str | None = None) -> str:
        """What `up(to)` would do, as one script for psql."""
        self._refuse(to)
        scripts: list[str] = []
        for runner in self.chosen:
            script = runner.up_script(to, roles_made=bool(scripts))
            scripts += [script] if script != NOTHING else []
        return "\n".join(scripts) or NOTHING

    def down_script(self, to: int | str | None = None, *, count: int | None = None) -> str:
        """What `down(to, count=count)` would do, as a script for psql."""
        self._refuse_undoing(self.chosen[-1], to, count)
        return self.chosen[-1].down_script(to, count=count)

    # -- what is looked at before anything runs ----------------------------------------------------------------

    def _refuse(self, to: int | str | None) -> None:
        if to is not None:
            self.one("--to")
        self._refuse_moved()
        reached: dict[str, int] = {}
        with ExitStack() as held:
            for runner in self.chosen:
                held.enter_context(connected(runner.database))
                runner.planned = dict(reached)
                pending = runner.pending(to)
                reached[runner.name] = max((file.number for file in pending), default=runner.newest_applied())

    def _refuse_moved(self) -> None:
        for runner in self.chosen:
            if runner.history.table not in self._derived:
                continue
            with connected(runner.database):
                if runner.history.exists:
                    continue
                known = {each.history.table for each in self.runners}
                table = history_elsewhere(runner.database, read_directory(runner.directory), known)
            if table is not None:
                raise MigrationError(
                    f"the history of {runner.directory} is in the table {table}, not in {runner.history.table}; give "
                    f"--history-table {table}, or history_table in pyproject.toml"
                )

    def _refuse_undoing(self, runner: Runner, to: int | str | None, count: int | None) -> None:
        if to is not None or count is not None:
            self.one("--to" if to is not None else "--count")
        others = [(each.name, read_directory(each.directory)) for each in self.runners if each is not runner]
        with connected(runner.database):
            left = runner.left_by(to, count)
            refuse_leaning(runner.database, runner.name, left, others)

    @property
    def _listed(self) -> str:
        return ", ".join(runner.name for runner in self.runners)
