"""What an application to try things with runs on: an embedded server, the centres, and people who can sign in.

What a host writes around it:

with demo.started("./data", password="correct horse battery") as trial:
    os.environ |= trial.variables() | {"SECRET": trial.secret("tokens")}
    print(trial.sign_ins(port=8000))
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rayces_core.database.database import Database
from rayces_core.demo.loading import load_centres
from rayces_core.models import Organization, User

_SECRETS = "secrets.json"


@dataclass(frozen=True)
class Trial:
    """A demo that runs.

    Attributes:
        db: the database. organizations: the two centres. password: everybody's.
        folder: where it is kept, or None: then nothing stays.
    """

    db: Database
    organizations: list[Organization]
    password: str
    folder: Path | None

    def variables(self) -> dict[str, str]:
        """The environment in which `Database.from_env()` is this database."""
        return {"RAYCES_DATABASE_URL": self.db.url, "RAYCES_ADMIN_DATABASE_URL": self.db.admin_url}

    def secret(self, name: str, make: Callable[[], str] = secrets.token_hex) -> str:
        """A secret that is drawn when it is first asked for, and stays as long as the folder does."""
        if self.folder is None:
            return make()
        path = self.folder / _SECRETS
        known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if name not in known:
            known[name] = make()
            _write_private(path, json.dumps(known))
        return known[name]

    def sign_ins(self, port: int) -> str:
        """Where each centre is on this machine, and who can sign in there by what."""
        lines = [line for organization in self.organizations for line in self._people(organization, port)]
        return "\n".join((*lines, f"Everybody's password: {self.password}", ""))

    def _people(self, organization: Organization, port: int) -> Iterator[str]:
        yield f"{organization.name}: http://{organization.subdomain}.localhost:{port}/"
        with self.db.tenant(organization):
            users = list(User.select().where(User.merged_into.is_null()).order_by(User.role, User.id))
        yield from (f"  {user.role.name.lower():13}{user.email}" for user in users)
        yield ""


@contextmanager
def started(folder: str | os.PathLike[str] | None = None, *, password: str) -> Iterator[Trial]:
    """Start a server of its own with the centres on it, for the block.

    Args:
        folder: keeps the database and the secrets; None leaves nothing behind.
        password: everybody's who has none yet. 12 characters at least.

    Raises:
        MissingExtraError: the extra `embedded` or `sign-in` is not installed.
        EmbeddedServerError: the server could not be started there. InvalidDataError: the password is too short.
    """
    kept = None if folder is None else Path(folder)
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    with Database.embedded(None if kept is None else kept / "database") as db:
        db.migrate()
        yield Trial(db, load_centres(db, password=password), password, kept)


def _write_private(path: Path, text: str) -> None:
    """Write it whole or not at all, for this account's eyes only."""
    new = path.with_suffix(".new")
    with open(new, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    new.replace(path)
