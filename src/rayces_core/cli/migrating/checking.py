"""`rayces migrate check`: models, files and the live catalogue say the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.migrating.runners import FINDINGS, Which, scratch_option, scratch_server, which_migrations
from rayces_core.cli.migrating.writing import models_at, models_option
from rayces_core.cli.options import Settings, database_options

if TYPE_CHECKING:
    from rayces_core.migrating.checking import Difference
    from rayces_core.migrating.runner import Runner

_COLUMNS = """
SELECT a.attname::text, a.attnotnull
  FROM pg_attribute a
 WHERE a.attrelid = to_regclass(quote_ident(%s)) AND a.attnum > 0 AND NOT a.attisdropped
"""


@click.command(
    epilog="\b\nExamples:\n  rayces migrate check\n  rayces migrate check --models myapp.models\n"
    "  rayces migrate check --strict --json"
)
@models_option
@click.option("--strict", is_flag=True, help="Report also other tables, views, functions and extensions.")
@scratch_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@which_migrations
@database_options
@click.pass_obj
def check(
    settings: Settings, which: Which, models: tuple[str, ...], strict: bool, scratch_url: str | None, as_json: bool
) -> int:
    """Compare the live schema with what its migrations make, and with the models.

    The tables of a host's models are compared as well: of those that --models or pyproject.toml names. What a model has
    and its table lacks is missing; what its writes would fail on is unexpected. `rayces migrate new NAME --from-models`
    writes what is missing into a migration.

    Reads the live database only; the migrations are run on a scratch database that is dropped afterwards.

    Of an adopted MyHub what it had before is listed as extra, and what its old application needs as transitional.

    The exit code is 1 if they differ; extras count with --strict only.
    """
    from rayces_core.migrating.checking import differences

    hosts = models_at(models)
    with settings.database() as database, scratch_server(scratch_url) as server:
        line = which.line(database)
        found = differences(line.chosen[-1], server, beside=line.beside, strict=strict)
        for runner in line.chosen:
            if runner.directory is None and all(state.state == "applied" for state in runner.status()):
                found += of_models(runner)
        found += _of_hosts(line.chosen[-1], hosts)
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(difference) for difference in found)
    else:
        _show(found, strict=strict)
    return FINDINGS if _failing(found, strict=strict) else 0


def of_models(runner: Runner) -> Iterator[Difference]:
    """Columns of the models that the live tables lack, or that are nullable on one side only.

    A column that an adopted MyHub has in a form of its own, as was chosen, is extra here as well.
    """
    from rayces_core.migrating.adopting.extras import extras_of
    from rayces_core.migrating.checking import Difference
    from rayces_core.migrations.session import connected
    from rayces_core.models import TENANT_MODELS, Organization

    with connected(runner.database):
        own = extras_of(runner.database).own_columns
        models: tuple[Any, ...] = (Organization, *TENANT_MODELS)
        for model in models:
            table = model._meta.table_name
            live = dict(runner.database.execute_sql(_COLUMNS, (table,)).fetchall())
            for field in model._meta.sorted_fields:
                column = field.column_name
                if live.get(column) != (not field.null):
                    rule = "" if field.null else " not null"
                    of_myhub = column in live and (table, column) in own
                    line = f"model {model.__name__}: column {table}.{column}{rule}"
                    yield Difference("extra" if of_myhub else "missing", line)


def _of_hosts(runner: Runner, models: list[Any]) -> Iterator[Difference]:
    from rayces_core.migrating.checking import Difference
    from rayces_core.migrating.lacking import lacks

    for lack in lacks(runner.database, models) if models else ():
        yield Difference(lack.kind, lack.line)


def _failing(found: list[Difference], *, strict: bool) -> list[Difference]:
    return [each for each in found if each.is_drift or (strict and each.kind == "extra")]


def _show(found: list[Difference], *, strict: bool) -> None:
    from rayces_core.cli.output import FAINT, GREEN, RED, YELLOW, console, styled, table

    screen = console()
    colours = {"missing": RED, "unexpected": YELLOW}
    shown = table("", "Line of the catalogue")
    for difference in found:
        shown.add_row(styled(difference.kind, colours.get(difference.kind, FAINT)), difference.line)
    if found:
        screen.print(shown)
    failing = _failing(found, strict=strict)
    count = f"{len(failing)} {'difference' if len(failing) == 1 else 'differences'}"
    summary = count if failing else "the schema is what its migrations make"
    screen.print(styled(summary, RED if failing else GREEN))
