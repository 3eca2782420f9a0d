"""`rayces import tenant`: a whole tenant from its archive."""

from __future__ import annotations

from contextlib import ExitStack

import click

from rayces_core.cli.host_models import models_option
from rayces_core.cli.options import Settings, database_options
from rayces_core.cli.progress import echo_json, json_option, quiet_option, ticking


@click.command(
    name="tenant",
    epilog="""\b
Examples:
  rayces import tenant north.zip
  rayces import tenant north.zip --subdomain north-copy""",
)
@click.argument("file")
@click.option("--subdomain", metavar="NAME", help="Of the organization that gets the rows; default: the archive's own.")
@quiet_option
@json_option
@models_option
@database_options
@click.pass_obj
def tenant_import(settings: Settings, file: str, subdomain: str | None, quiet: bool, as_json: bool) -> None:
    """Bring the archive FILE of `rayces export tenant` into this database, whole or not at all.

    The organization is made, or is one without rows. Ids and tokens are made anew, all else is as it was; at the end
    the content's checksum is compared with the archive's.
    """
    from rayces_core.archive import restore

    with settings.database() as database, ExitStack() as stack:
        done = restore(database, file, subdomain=subdomain, progress=ticking(settings, stack, quiet=quiet or as_json))
    organization = done.organization
    if as_json:
        content = {"content_sha256": done.content_sha256, "rows": dict(done.rows)}
        echo_json({"id": organization.id, "subdomain": organization.subdomain, **content})
    else:
        named = f"organization {organization.id} (subdomain {organization.subdomain})"
        click.echo(f"brought {done.total} rows into {named}; content {done.content_sha256}")
