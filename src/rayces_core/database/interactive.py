"""The part of a Database for whoever sits at IPython or a notebook: a tenant that holds from cell to cell.

Rule it guards: it binds the cells of that session and nothing else; see rayces_core.database.cells.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Generic, overload

from psycopg2.extensions import parse_dsn
from typing_extensions import TypeVar

from rayces_core.database.binding import Binding, Block, bind_otherwise
from rayces_core.database.cells import cell_here, is_forked, shell_here
from rayces_core.database.engine import Engine
from rayces_core.database.interrupting import interruptible
from rayces_core.database.prompting import show_in_prompts
from rayces_core.database.session import Session
from rayces_core.database.tenants import Tenant
from rayces_core.database.transaction import undo_all
from rayces_core.errors import RaycesError, TenancyError, TenantSwitchError, UnknownTenantError
from rayces_core.showing import html_table

# The model of organizations; it lives above this room, and `rayces_core.Database` names it.
Org = TypeVar("Org", bound=Tenant, default=Any)
_SHOWN: Final = ("dbname", "host", "port", "user")  # of a URL, which may have secrets of many names


class Used:
    """The tenant that cells of this session work for where no block says another."""

    def __init__(self, database: Interactive[Any], binding: Binding, organization: Any, shell: Any) -> None:
        self.database, self.binding, self.shell = database, binding, shell
        self.subdomain, self.name = organization.subdomain, organization.name
        self._cell, self._block = None, Block(binding, None, self)
        self._sessions: tuple[Session, ...] = ()

    def __call__(self) -> Block | None:
        """What is bound here, if a cell of the session is what runs."""
        if cell_here() is not None:
            return None
        if self._cell != self.shell.execution_count:
            self._begin_cell()
        return self._block if _used is self else None

    def end_cell(self) -> None:
        """As at the end of a block: what was left open in the cell is undone, and said."""
        sessions, self._sessions = self._sessions, ()
        for session in sessions:
            if session._own is not None and session.in_transaction:
                undo_all(session)
                session.give_back()
                print("a transaction was still open at the end of the cell; it was undone")

    def _begin_cell(self) -> None:
        """What was read in one cell is not served in the next; nor is an organization that was switched off."""
        self._cell, self._block = self.shell.execution_count, Block(self.binding, None, self)
        # Kept, as a cell with await is a task of its own, and ends before its end is told.
        self._sessions = (self.database._tenants.session, self.database._admins.session)
        try:
            is_active = self.database._looked_up(self.binding.organization_id)["active"]
        except UnknownTenantError:
            is_active = False
        except RaycesError:
            return  # the cell's own statement will say so
        if not is_active:
            forget_used()
            print(f"organization {self.subdomain!r} is not active any more, so nothing is used from here on")


_used: Used | None = None


def used_here() -> Used | None:
    """What `db.use` has said, in the process that it was said in."""
    return None if is_forked() else _used


def forget_used() -> None:
    """Use nothing."""
    global _used
    _used = None
    bind_otherwise(None)


class Interactive(Generic[Org]):
    """What somebody at IPython or a notebook asks of a Database besides its work."""

    url: str
    _tenants: Engine
    _admins: Engine
    _tenant: Callable[[Any, bool], tuple[Binding, Org]]
    _holder: Callable[[], Binding | None]
    _looked_up: Callable[[Any], Any]

    @overload
    def use(self, tenant: None) -> None: ...
    @overload
    def use(self, tenant: str | int | Org) -> Org: ...
    def use(self, tenant: str | int | Org | None) -> Org | None:
        """Work for this organization in the cells of this session, until another is used; None uses none.

        It is shown above each result. It counts in the main thread, for code that a cell calls itself, with `await` as
        well; a block (`with db.tenant(…)`, `with db.privileged(…)`) goes first, and ends in it again. Tasks that a cell
        begins, threads, other processes, scripts (`%run` as well), servers, tests, callbacks, handlers of signals and
        finalizers do not find it: there nothing is bound, as ever. One is used at a time, whatever the Database.

        Args:
            tenant: subdomain, id, or a saved Organization; or None.

        Returns: the Organization, or None.

        Raises:
            TenancyError: this is no cell of IPython or Jupyter.
            UnknownTenantError, InactiveTenantError: there is none, or it is switched off.
            TenantSwitchError: a transaction is open here.
        """
        global _used
        shell = _shell_of_cell()
        holder = self._holder()
        if tenant is None:
            if holder is not None:
                raise TenantSwitchError("a transaction is open; leave its `with db.atomic():` first")
            forget_used()
            return None
        binding, organization = self._tenant(tenant, False)
        if holder is not None and holder is not binding:
            raise TenantSwitchError("a transaction of another tenant is open; leave its `with db.atomic():` first")
        _used = Used(self, binding, organization, shell)
        bind_otherwise(_used)
        show_in_prompts(shell, used_name)
        if _end_of_cell not in shell.events.callbacks["post_execute"]:
            shell.events.register("post_execute", _end_of_cell)
        return organization

    def _repr_html_(self) -> str:
        shown = {key: value for key, value in parse_dsn(self.url).items() if key in _SHOWN}
        used = used_here()
        status = self._tenants.pool.status()
        facts = [
            *sorted((key, str(value)) for key, value in shown.items()),
            ("roles", f"{self._tenants.role} (tenants' work), {self._admins.role} (privileged work)"),
            ("connections", f"{status.in_use} in use, {status.free} free"),
            ("used in this session", used.subdomain if used is not None and used.database is self else "nothing"),
        ]
        return html_table(("", ""), facts, title="Database")

    def interruptible(self) -> AbstractContextManager[None]:
        """For the block, Ctrl-C cancels the statement that the server is working on, and KeyboardInterrupt is raised.

        On by itself in IPython and Jupyter. For the main thread, which alone is told of signals; all of a process's
        Databases are meant. Of all signals SIGINT alone cancels: a SIGTERM is heard when the statement is over.
        COMMIT is waited for, so that its outcome is known. A server that does not answer is left after 5 s, or by a
        second Ctrl-C after 1 s; what was begun on that connection is undone, and the connection is lost. Where the
        process has given psycopg2 a wait callback (gevent, psycogreen), that waits, and this changes nothing.

        Raises:
            ConfigurationError: this is not the main thread.
        """
        return interruptible()

    def _stop_using(self) -> None:
        if _used is not None and _used.database is self:
            forget_used()


def _end_of_cell() -> None:
    used = used_here()
    if used is not None:
        used.end_cell()


def used_name() -> str | None:
    """Subdomain of what is used in this session, for prompts."""
    used = used_here()
    return None if used is None else str(used.subdomain)


def _shell_of_cell() -> Any:
    other = cell_here()
    shell = shell_here() if other is None else None
    if shell is None:
        raise TenancyError(
            f"db.use() is for the cells of IPython and Jupyter, and {other or 'a program that embeds a shell'} calls "
            "it here; wrap the code in `with db.tenant(...):`"
        )
    return shell
