"""`rayces migrate ...`."""

from __future__ import annotations

import click

from rayces_core.cli.migrating.adopting import adopt
from rayces_core.cli.migrating.checking import check
from rayces_core.cli.migrating.hardening import harden
from rayces_core.cli.migrating.rehearsing import plan, rehearse
from rayces_core.cli.migrating.repairing import repair
from rayces_core.cli.migrating.running import down, fake, status, up
from rayces_core.cli.migrating.writing import new, squash
from rayces_core.cli.options import database_options


@click.group()
@database_options
def migrate() -> None:
    """Apply, undo, list, write, rehearse or check migrations; adopt a MyHub; harden or repair a database."""


for _command in (up, down, status, plan, rehearse, check, fake, adopt, harden, repair, new, squash):
    migrate.add_command(_command)
