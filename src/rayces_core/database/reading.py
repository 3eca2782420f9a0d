"""The part of a Database that gives away one which only reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from rayces_core.database.options import Options
from rayces_core.migrations.session import auditor_of, reader_of

if TYPE_CHECKING:
    from rayces_core.embedded.server import EmbeddedServer

STATEMENT_TIMEOUT_SECONDS = 30.0


class Reading:
    """What a Database gives to those who only ask questions of it."""

    url: str
    admin_url: str
    app_role: str
    admin_role: str
    _options: Options
    _others: list[Any]
    _server: EmbeddedServer | None

    @property
    def reads_only(self) -> bool:
        """Whether this is a reader, which writes nothing."""
        return self._options.reads_only

    def reader(
        self,
        *,
        url: str | None = None,
        admin_url: str | None = None,
        statement_timeout: float | None = STATEMENT_TIMEOUT_SECONDS,
    ) -> Self:
        """The same database for who only reads: its roles have no right but SELECT, in privileged work too.

        `tenant()` reads one organization as the role rayces_reader, `privileged()` all as rayces_auditor. It has pools
        of its own and is closed with this Database; asked for again with the same arguments, it is the same one.
        The server refuses the rest: ReadOnlyError for what writes, PermissionDeniedError for tables that hold secrets.

        Args:
            url: that of a login which may become rayces_reader; this Database's where it is left out.
            admin_url: that of a login which may become rayces_auditor; then `url`, or this Database's.
            statement_timeout: seconds after which the server ends a statement (StatementTimeoutError); None: no limit.

        Raises:
            ConfigurationError: an argument is malformed. At first use: RoleNotHeldError where the login may not become
                the role, SchemaMissingError where the migration that makes it (037) is not applied.
        """
        place, admin_place = self._reading_as(url, admin_url)
        given = self._options.for_reading(admin_place, statement_timeout)
        # What this one was told of its connections may be another login's password.
        given = replace(given, connect_options={}) if url is not None else given
        known = (other for other in self._others if other._options == given and other.url == place)
        found: Any = next(known, None)
        if found is None:
            found = type(self)(place, options=given)  # type: ignore[call-arg]
            self._others.append(found)
        reader: Self = found
        return reader

    def _reading_as(self, url: str | None, admin_url: str | None) -> tuple[str, str | None]:
        """The URLs of both kinds of work."""
        if url is not None:
            return url, admin_url
        if self._server is not None:
            return self._server.held_login(reader_of(self.admin_role), auditor_of(self.admin_role)), admin_url
        return self.url, admin_url or (None if self.admin_url == self.url else self.admin_url)
