"""`python -m bench.adopting`: adopt a MyHub database under load, and look at what the old application saw of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console

from bench.adopting.adoption import Adoption, AdoptionFailedError, adopt, schema_of
from bench.adopting.books import differing, play, strangers, sums
from bench.adopting.crowd import Done, Load, crowd
from bench.adopting.figures import figures, phase_of, slowest, too_slow
from bench.adopting.lookout import Lookout, looking_on
from bench.adopting.myhub import Size, fill
from bench.adopting.report import Outcome, Slowest, save, show
from bench.adopting.server import Workshop, workshop
from bench.server import described

SMALL = 100  # the undisturbed database has a hundredth of the rows
ROWS_A_SECOND = 40_000  # roughly; only says how long to let a run live before it is killed

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much is filled, how it is used, and how adoption is disturbed."""

    size: Size
    load: Load
    seconds: float
    kills: int

    @property
    def longest_run_seconds(self) -> float:
        """The longest that a run is left alive which is to be killed after a while."""
        rows = self.size.users + self.size.posts + self.size.likes
        return 0.05 + 2 * rows / ROWS_A_SECOND / max(1, self.kills)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--users", type=click.IntRange(min=100), default=200_000, show_default=True, help="Users filled in.")
@click.option("--posts", type=click.IntRange(min=100), default=1_000_000, show_default=True, help="Posts filled in.")
@click.option("--likes", type=click.IntRange(min=100), default=3_000_000, show_default=True, help="Likes filled in.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=60, show_default=True, help="Load before, and after."
)
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True, help="The old one's processes.")
@click.option(
    "--pause",
    type=click.FloatRange(min=0),
    default=10,
    show_default=True,
    help="Milliseconds after each user's action.",
)
@click.option("--prepared", is_flag=True, help="Statements are prepared, as Active Record does unless told otherwise.")
@click.option(
    "--kills", type=click.IntRange(min=0), default=20, show_default=True, help="How often adoption is killed."
)
@click.option("--seed", type=int, default=5, show_default=True, help="Of the load, and of when to kill.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
@click.option("--database-url", help="Superuser on the server to use, instead of an embedded one.")
def main(
    users: int,
    posts: int,
    likes: int,
    seconds: float,
    workers: int,
    pause: float,
    prepared: bool,
    kills: int,
    seed: int,
    file: Path | None,
    database_url: str | None,
) -> None:
    """Adopt a MyHub database while processes of its old application go on reading and writing it.

    The exit code is 1 when a statement of the old application failed or took longer than a second, or when a row or
    the catalogue is not what it has to be.
    """
    if likes < posts:
        raise click.UsageError("give at least as many likes as posts: every filled post has one")
    plan = Plan(Size(users, posts, likes), Load(workers, pause / 1000, prepared, seed), seconds, kills)
    with workshop(database_url) as place, _progress() as say:
        try:
            outcome = run(place, plan, say)
        except AdoptionFailedError as error:
            raise click.ClickException(str(error)) from error
    show(outcome, Console() if sys.stdout.isatty() else Console(width=200, no_color=True))
    if file is not None:
        save(outcome, file, {**asdict(plan.size), **asdict(plan.load), "seconds": seconds, "kills_asked": kills})
    sys.exit(any(outcome.faults()))


def run(place: Workshop, plan: Plan, say: Say) -> Outcome:
    """Do everything; raises AdoptionFailedError when the command fails by itself."""
    schema, small = _undisturbed(place, plan, say)
    say("filling")
    name = place.database()
    fill(place.application(name), plan.size)
    expected = place.database(template=name, big=True)
    done, adoption, lookout = _adopted_under_load(place, name, plan, say)
    outcome = Outcome(_heading(plan, described(place.admin(name))), adoption, plan.kills, small)
    _judge_statements(outcome, done, adoption, lookout)
    say("comparing rows")
    play(place.admin(expected), done.diary)
    _judge_rows(outcome, place.admin(expected), place.admin(name))
    found = schema_of(place.admin(name))
    outcome.schema = [f"- {line}" for line in found if line not in schema]
    outcome.schema += [f"+ {line}" for line in schema if line not in found]
    return outcome


def _heading(plan: Plan, server: str) -> str:
    size, load = plan.size, plan.load
    rows = f"{size.users:,} users, {size.posts:,} posts, {size.likes:,} likes"
    return f"{rows}; {load.workers} processes{', prepared statements' if load.prepared else ''}; {server}"


def _undisturbed(place: Workshop, plan: Plan, say: Say) -> tuple[list[str], float]:
    """The catalogue that an adoption makes which nobody kills, and the seconds it took."""
    say("adopting a small database undisturbed")
    name = place.database()
    fill(place.application(name), plan.size.smaller(SMALL))
    adoption = adopt(place.admin(name), kills=0, seed=0, longest_seconds=0)
    return schema_of(place.admin(name)), adoption.seconds


def _adopted_under_load(place: Workshop, name: str, plan: Plan, say: Say) -> tuple[Done, Adoption, Lookout]:
    with crowd(place.application(name), plan.size, plan.load) as workers, looking_on(place.admin(name)) as lookout:
        say("load before")
        time.sleep(plan.seconds)
        say("adopting")
        adoption = adopt(place.admin(name), plan.kills, plan.load.seed, plan.longest_run_seconds)
        say("load after")
        time.sleep(plan.seconds)
        return workers.finish(), adoption, lookout


def _judge_statements(outcome: Outcome, done: Done, adoption: Adoption, lookout: Lookout) -> None:
    span = adoption.started, adoption.ended
    outcome.figures = figures(done.record, *span)
    outcome.slow = too_slow(done.record)
    for each in slowest(done.record):
        ended = each.began + each.milliseconds / 1000
        phase = phase_of(each.began, ended, *span)
        outcome.slowest.append(Slowest(each.kind, phase, each.milliseconds, lookout.at(each.began, ended)))
    outcome.failures = [(phase_of(began, began, *span), kind, text) for began, kind, text in done.record.failures]


def _judge_rows(outcome: Outcome, expected: str, found: str) -> None:
    outcome.expected, outcome.found = sums(expected), sums(found)
    for one, other in zip(outcome.expected, outcome.found, strict=True):
        if one != other:
            outcome.differing[one.table] = differing(expected, found, one.table)
    outcome.strangers = strangers(found)


@contextmanager
def _progress() -> Iterator[Say]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield status.update


if __name__ == "__main__":
    main()
