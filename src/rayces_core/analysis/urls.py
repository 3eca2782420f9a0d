"""URLs for other programs that read one organization's rows: DuckDB, ADBC, Superset and whatever speaks libpq.

What binds them stands in the URL's connect options, so it is where a session begins, and the program's own SQL can
change it. What holds is the login: one that was given the reader's role alone, and is pinned, sees one organization
whatever it binds, and writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from psycopg2.extensions import parse_dsn

from rayces_core.database.timeouts import timeout_setting
from rayces_core.errors import ConfigurationError

if TYPE_CHECKING:
    from rayces_core.database.database import Database

# What stands before the question mark of a URL, and what is written anew.
_IN_PATH: Final = ("user", "password", "host", "port", "dbname", "options")


def url_of(
    db: Database[Any],
    tenant: Any,
    *,
    read_only: bool = True,
    statement_timeout: float | None = 30.0,
) -> str:
    """The libpq URL by which another program reads the rows of one organization, password included.

    DuckDB's postgres extension, ADBC, connectorx, SQLAlchemy and psycopg take it as it stands. Its sessions begin as
    the role that only reads, with the organization bound. They could bind another one: where whoever has the URL must
    not, give `db.reader(url=…)` a login that is pinned to the organization (`rayces migrate repair --reader-login`).

    Args:
        db: a Database, or its `reader()`, whose login the URL then has.
        tenant: subdomain, id or Organization.
        read_only: whether sessions write nothing; False gives the tenants' own role, which writes.
        statement_timeout: seconds after which the server ends a statement; None: no limit.

    Raises:
        UnknownTenantError, InactiveTenantError: there is no such organization, or it is switched off.
        RoleNotHeldError: the login cannot become the role.
        ConfigurationError: a reader was asked for a URL that writes; or a pooling proxy stands before the server, whose
            sessions are everybody's; or the time-out is no number of seconds.
    """
    if db.reads_only and not read_only:
        raise ConfigurationError("a reader gives no URL that writes; ask the Database that it was made of")
    limit = timeout_setting(statement_timeout)
    source = db.reader() if read_only and not db.reads_only else db
    with source.tenant(tenant) as organization:
        if not source.engine.connection().footing.is_direct:
            raise ConfigurationError(
                "a pooling proxy stands before the server, and what a session begins with does not hold through it; "
                "give db.reader(url=…) the server's own URL"
            )
        organization_id = int(organization.id)
    settings = {"role": source.app_role, "rayces.organization_id": str(organization_id), "timezone": "UTC"}
    if read_only:
        settings["default_transaction_read_only"] = "on"
    return _written(source.url, settings | limit)


def _written(dsn: str, settings: dict[str, str]) -> str:
    """The DSN as a URL, its options followed by these settings."""
    facts = parse_dsn(dsn)
    given = [facts["options"]] if facts.get("options") else []
    rest = {name: value for name, value in facts.items() if name not in _IN_PATH}
    rest["options"] = " ".join([*given, *(f"-c {name}={value}" for name, value in settings.items())])
    if facts.get("host", "").startswith("/"):  # SQLAlchemy reads the folder of a socket here, connectorx before
        rest = {"host": facts["host"], **rest}
    login = _quoted(facts.get("user", "")) + (f":{_quoted(facts['password'])}" if "password" in facts else "")
    query = "&".join(f"{name}={_quoted(value)}" for name, value in rest.items())
    return f"postgresql://{login}{'@' if login else ''}{_places(facts)}/{_quoted(facts.get('dbname', ''))}?{query}"


def _places(facts: dict[str, str]) -> str:
    """Hosts and ports: there may be several, and one port for all of them."""
    hosts, ports = facts.get("host", "").split(","), facts.get("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    written = (f"[{host}]" if ":" in host else _quoted(host) for host in hosts)
    return ",".join(host + (f":{port}" if port else "") for host, port in zip(written, ports, strict=True))


def _quoted(text: str) -> str:
    return quote(text, safe="")
