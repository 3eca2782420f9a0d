"""`rayces migrate new | squash`: files of a host application's own migrations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rayces_core.cli.options import Settings, database_options

if TYPE_CHECKING:
    from rayces_core.migrating.lacking import Lack

Command = TypeVar("Command", bound=Callable[..., Any])


def models_option(command: Command) -> Command:
    """Let a command take --models."""
    return click.option(
        "--models",
        metavar="MODULE",
        multiple=True,
        help="Your models: a module, or module:Model; repeatable; default: those in pyproject.toml.",
    )(command)


def models_at(given: Sequence[str]) -> list[Any]:
    """The host's models of the modules named, else of those that pyproject.toml names."""
    from rayces_core.cli.host_models import configured
    from rayces_core.migrating.modelled import in_order, models_of, plain_models

    folder, modules = (Path.cwd(), given) if given else configured()
    if modules and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # as `python -m` does
    found = in_order(model for module in modules for model in models_of(module, may_have_none=not given))
    for module in modules:
        for plain in plain_models(sys.modules[module]) if ":" not in module else ():
            click.echo(f"{module}.{plain.__name__} is no TenantModel: its table is yours to write and check", err=True)
    return found


directory_option = click.option(
    "--directory", metavar="DIR", help="Folder of your own migrations; default: the one in pyproject.toml."
)


def directory_of(given: str | None) -> str:
    """The folder of a host's migrations: the one given, or the only one that pyproject.toml names."""
    from rayces_core.migrating.places import configured

    if given is not None:
        return given
    places = configured()
    if len(places) == 1 and places[0].directory is not None:
        return places[0].directory
    found = ", ".join(str(place.directory) for place in places)
    why = f"pyproject.toml names {found}" if places else "pyproject.toml names none ([tool.rayces] migrations)"
    raise click.UsageError(f"say with --directory which folder of migrations: {why}")


@click.command(
    epilog="\b\nExamples:\n  rayces migrate new add_rooms\n  rayces migrate new add_rooms --from-models myapp.models\n"
    "  rayces migrate new add_rooms --directory myapp/migrations"
)
@click.argument("name")
@click.option(
    "--from-models",
    "models",
    metavar="MODULE",
    multiple=True,
    help="Write what the tables lack of the models of a module, or of module:Model. Repeatable.",
)
@directory_option
@database_options
@click.pass_obj
def new(settings: Settings, name: str, models: tuple[str, ...], directory: str | None) -> None:
    """Write the next migration of a host application: empty, or what its models have and their tables lack.

    Nothing is applied. Read the file, change it, then try it with `rayces migrate rehearse`.
    """
    from rayces_core.cli.output import console, printable
    from rayces_core.migrating.files import read_directory
    from rayces_core.migrating.new_files import new_file, text_of

    folder = directory_of(directory)
    found = _lacking(settings, models)
    if models and not found:
        click.echo("nothing is written: the tables have all that the models say")
        return
    path = new_file(folder, name, text_of(name, len(read_directory(None)), found))
    click.echo(f"written {path}; read it, then: rayces migrate rehearse")
    if found:
        console().print(printable(path.read_text("utf-8")), highlight=False, soft_wrap=True)


@click.command(
    epilog="\b\nExamples:\n  rayces migrate squash 001 025\n"
    "  rayces migrate squash 001 025 --directory myapp/migrations --name first_tables"
)
@click.argument("first")
@click.argument("last")
@directory_option
@click.option("--name", metavar="NAME", help="Of the new file; default: squashed_001_to_025.")
def squash(first: str, last: str, directory: str | None, name: str | None) -> None:
    """Make one file of a host application's migrations FIRST to LAST, and remove those.

    Databases that have all of them take the new file over at the next `rayces migrate up`, which runs nothing; new
    databases run it; one that has only some is refused. No database is looked at here.
    """
    from rayces_core.migrating.squashed_files import squash as squashed

    done = squashed(directory_of(directory), first, last, name)
    click.echo(f"written {done.path}")
    for each in done.replaced:
        click.echo(f"removed {each}, which it replaces; version control has it")
    if done.by_itself:
        click.echo(
            f"It says ATOMIC = False, as {', '.join(done.by_itself)} did: what the others run, and the way back of "
            "each, now has to work from a half-done state too; read it."
        )


def _lacking(settings: Settings, models: tuple[str, ...]) -> list[Lack]:
    from rayces_core.migrating.lacking import lacks
    from rayces_core.migrating.runner import Runner

    if not models:
        return []
    hosts = models_at(models)
    with settings.database() as database:
        return lacks(Runner(database.admin_url).database, hosts)
