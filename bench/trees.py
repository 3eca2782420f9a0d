"""`python -m bench.trees COMMIT`: this tree beside another one of its history, in turns of one run.

Each has an embedded server and a process of its own. A pair of turns is one ratio, and a busy machine is busy for both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

CHECKOUT = Path(__file__).parents[1]
OPERATIONS = ("free slots", "free slots with a service, rooms and overrides", "book", "book on credit", "debit")


class Tree:
    """A process that does what it is asked by the library of one tree."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.library = self._answer()

    def seconds(self, operation: str) -> float:
        """How long it took to do it now."""
        print(operation, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise click.ClickException("a tree's process has ended; what it said stands above")
        return line.strip()


@contextmanager
def running(source: Path) -> Iterator[Tree]:
    """A process with the library of this `src` folder, until the block ends."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(CHECKOUT)])}
    command = [sys.executable, "-m", "bench.turns"]
    with subprocess.Popen(
        command, env=environment, cwd=source, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Tree(process)  # Popen's own block closes its input, which ends it


@contextmanager
def source_of(commit: str) -> Iterator[Path]:
    """The `src` folder of a commit, in a folder that goes with the block."""
    with TemporaryDirectory(prefix="rayces-bench-") as folder:
        archive = subprocess.run(["git", "archive", commit, "src"], cwd=CHECKOUT, capture_output=True, check=False)
        if archive.returncode:
            raise click.BadParameter(archive.stderr.decode().strip(), param_hint="COMMIT")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder) / "src"


def samples(one: Tree, other: Tree, operation: str, rounds: int) -> list[tuple[float, float]]:
    """Seconds of both, in turns; who begins alternates, and the first pair is not counted."""
    taken = []
    for number in range(rounds + 1):
        first, second = (one, other) if number % 2 else (other, one)
        seconds = {tree: tree.seconds(operation) for tree in (first, second)}
        taken.append((seconds[one], seconds[other]))
    return taken[1:]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("commit")
@click.option(
    "--rounds", type=click.IntRange(1, 50), default=9, show_default=True, help="Pairs of turns of each operation."
)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there too.")
def main(commit: str, rounds: int, file: Path | None) -> None:
    """Measure this tree beside COMMIT: its time to the commit's, below 1 is faster."""
    with ExitStack() as stack:
        before = stack.enter_context(running(stack.enter_context(source_of(commit))))
        today = stack.enter_context(running(CHECKOUT / "src"))
        found = {operation: samples(before, today, operation, rounds) for operation in OPERATIONS}
    click.echo(f"{'':48} {'before, ms':>12} {'today, ms':>12} {'ratio':>6}  lowest to highest")
    for operation, pairs in found.items():
        first, second = (median(side) * 1e3 for side in zip(*pairs, strict=True))
        ratios = [late / early for early, late in pairs]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        click.echo(f"{operation:48} {first:12,.1f} {second:12,.1f} {median(ratios):6.2f}  {spread}")
    if file is not None:
        file.write_text(json.dumps({"commit": commit, "seconds": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
