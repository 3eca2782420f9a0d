"""`python -m bench`: measure what a statement costs through rayces_core, next to psycopg2 by hand and to other ORMs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import click
from rich.console import Console

from bench.books import UnequalResultsError
from bench.checking import Table, check_equal, round_trips
from bench.contender import Contender
from bench.contenders import BASELINE, MODULES, installed
from bench.facts import Facts
from bench.filling import fill
from bench.measuring import Measured, measure
from bench.operations import OPERATIONS, Operation, chosen
from bench.report import Result, save, show
from bench.server import described, migrated_database, set_flush


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rows: int
    rounds: int
    batch_seconds: float


def _split(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Fewer rows, shorter batches, fewer contenders: a look, not a measurement.")
@click.option("--rounds", type=click.IntRange(min=1), help="How often each operation is measured.  [default: 5]")
@click.option("--rows", type=click.IntRange(min=100), help="Appointments in the measured organization.")
@click.option("--only", callback=_split, default="", help=f"Contenders, by comma: {', '.join(MODULES)}.")
@click.option("--operations", callback=_split, default="", help="Operations, by comma, such as point,scan_dicts.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
@click.option("--database-url", help="Measure on this server, in a database made for it, instead of an embedded one.")
def main(
    quick: bool,
    rounds: int | None,
    rows: int | None,
    only: tuple[str, ...],
    operations: tuple[str, ...],
    file: Path | None,
    database_url: str | None,
) -> None:
    """Measure operations per second, the ratio to psycopg2 by hand, client CPU and round trips, all in one run."""
    unknown = set(only) - set(MODULES)
    if unknown:
        raise click.UsageError(f"no such contender: {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    todo = chosen(operations)
    if not todo:
        names = ", ".join(operation.method for operation in OPERATIONS)
        raise click.UsageError(f"no such operation: {', '.join(operations)}; there are {names}")
    plan = Plan(rows or (10_000 if quick else 100_000), rounds or 5, 0.03 if quick else 0.08)
    kinds = installed(only or (MODULES if not quick else (BASELINE, "rayces_core")))
    with migrated_database(database_url) as url:
        carry_out(plan, url, kinds, todo, file)


def carry_out(plan: Plan, url: str, kinds: list[type[Contender]], todo: list[Operation], file: Path | None) -> None:
    """Measure in the migrated, empty database of `url`, print the table and write the figures to `file`."""
    began = monotonic()
    results, facts, heading = _measured(url, plan, kinds, todo)
    console = Console() if sys.stdout.isatty() else Console(width=160, no_color=True)
    show(results, facts, f"{heading}, {monotonic() - began:.0f} s", console)
    if file is not None:
        save(results, file, {"about": heading, "rows": plan.rows, "rounds": plan.rounds})


def _measured(
    url: str, plan: Plan, kinds: list[type[Contender]], todo: list[Operation]
) -> tuple[list[Result], Facts, str]:
    with _progress() as say:
        say(f"filling {plan.rows} rows")
        facts, sample = fill(url, plan.rows)
        try:
            say("comparing results")
            check_equal(kinds, todo, url, sample)
            say("counting round trips")
            trips = round_trips(kinds, todo, url, sample)
            measured = _timed(url, plan, kinds, todo, facts, say)
        except UnequalResultsError as error:
            raise click.ClickException(str(error)) from error
    heading = f"{plan.rows:,} rows, {plan.rounds} rounds, {described(url)}"
    return _results(measured, trips, todo, facts), facts, heading


def _timed(
    url: str,
    plan: Plan,
    kinds: list[type[Contender]],
    todo: list[Operation],
    facts: Facts,
    say: Callable[[str], None],
) -> Measured:
    measured: Measured = {}
    for flushed in (True, False):
        group = [operation for operation in todo if operation.flushed is flushed]
        set_flush(url, flushed=flushed)
        with ExitStack() as stack:
            table = stack.enter_context(closing(Table(url, facts)))
            table.tidy()
            table.books.tidy()
            contenders = [stack.enter_context(closing(kind(url, facts))) for kind in kinds]
            measured |= measure(contenders, group, plan.rounds, plan.batch_seconds, partial(_tidy, table, facts), say)
    set_flush(url, flushed=True)
    return measured


def _tidy(table: Table, facts: Facts, operation: Operation, calls: int) -> None:
    if operation.on_ledger:
        table.books.audit(calls * facts.counted(operation.unit), operation.title)
        table.books.tidy()
    else:
        table.tidy()


def _results(
    measured: Measured, trips: dict[tuple[str, str], int], todo: list[Operation], facts: Facts
) -> list[Result]:
    results = []
    for operation in todo:
        samples = measured[operation.title]
        for name in [name for name in MODULES if name in samples]:
            counted = trips[operation.title, name]
            result = Result(operation, name, samples[name], samples[BASELINE], counted, facts.counted(operation.unit))
            if operation.within in measured:
                result.share = samples[name].share_of(measured[operation.within][name])
            results.append(result)
    return results


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield status.update


if __name__ == "__main__":
    main()
