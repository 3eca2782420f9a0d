"""`rayces migrate adopt` as a process of its own, killed at random moments and run again until it is done."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO

import psycopg2

from bench.adopting.lookout import Lookout, Place
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import read_directory

ADOPT = ("-m", "rayces_core", "migrate", "adopt", "--organization-name", "MyHub", "--subdomain", "myhub")
ADOPT += ("--fix", "email-spelling=lower-case", "--json")
_POLL_SECONDS = 0.004
_PATIENCE_SECONDS = 3600


class AdoptionFailedError(Exception):
    """The command failed by itself."""


# Most of the time is spent in these.
_LONG = (6, 6, 6, 6, 7, 8, 8, 9, 10, 10)


@dataclass(frozen=True)
class Aim:
    """When to kill the next run: so long after the history has reached a place, but not later than at another one."""

    place: Place
    seconds: float
    latest: Place


@dataclass
class Adoption:
    """What the adoption took.

    Attributes:
        started, ended: on the monotonic clock, from the first run's start to the last one's end.
        kills: where each kill met the history.
        output: what the last run printed.
    """

    started: float = 0.0
    ended: float = 0.0
    kills: list[Place] = field(default_factory=list)
    output: str = ""

    @property
    def seconds(self) -> float:
        """From the first start to the last end, the kills included."""
        return self.ended - self.started


def adopt(url: str, kills: int, seed: int, longest_seconds: float, command: Sequence[str] = ADOPT) -> Adoption:
    """Adopt the database of `url`, with so many kills on the way, each at most `longest_seconds` into its run.

    `command` is what Python is told to run.
    Raises AdoptionFailedError when a run ends with an error.
    """
    done = Adoption(started=time.monotonic())
    with closing(Lookout(url)) as lookout:
        for aim in aims(kills, random.Random(seed), longest_seconds):
            with _running(url, command) as (process, output):
                _wait_for(process, lookout, aim)
                process.kill()
                if process.wait() >= 0:
                    done.output = _checked(process.returncode, output)
                    break
            done.kills.append(lookout.place())
        else:
            with _running(url, command) as (process, output):
                done.output = _checked(process.wait(_PATIENCE_SECONDS), output)
    done.ended = time.monotonic()
    return done


def aims(kills: int, chance: random.Random, longest_seconds: float) -> list[Aim]:
    """When to kill: at places all over the history, and every other time at any moment on the way to the next one."""
    last = len(read_directory(None))
    migrations = (*range(2, last), *_LONG)
    places = [
        Place(*found) for found in sorted((chance.choice(migrations), chance.randint(0, 9)) for _ in range(kills))
    ]
    seconds = [0 if number % 2 else chance.uniform(0, longest_seconds) for number in range(kills)]
    latest = [*places, Place(last - 1)][1:]
    return [Aim(*each) for each in zip(places, seconds, latest, strict=True)]


def schema_of(url: str) -> list[str]:
    """The catalogue as lines; the id of the adopted organization, which a killed INSERT uses up, is left open."""
    with closing(psycopg2.connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM organizations")
        ((organization,),) = cursor.fetchall()
        lines = fingerprint(connection)
    return sorted(_without(organization, line) for line in lines)


def _without(organization: int, line: str) -> str:
    if "rayces_adoption" not in line and ".organization_id bigint" not in line:
        return line
    for written in (f"'{organization}'::bigint", f"({organization})::bigint", f"organization_id = {organization})"):
        line = line.replace(written, written.replace(str(organization), "<organization>"))
    return line


@contextmanager
def _running(url: str, command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    whole = [sys.executable, *command]
    environment = {**os.environ, "RAYCES_DATABASE_URL": url}
    with TemporaryFile() as output:
        process = subprocess.Popen(whole, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield process, output
        finally:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], lookout: Lookout, aim: Aim) -> None:
    """Wait until the run is where it is to be killed, or ends."""
    others = lookout.sessions()
    while process.poll() is None and lookout.sessions() <= others:
        others = min(others, lookout.sessions())
        time.sleep(_POLL_SECONDS)
    while process.poll() is None and lookout.place() < aim.place:
        time.sleep(_POLL_SECONDS)
    deadline = time.monotonic() + aim.seconds
    while process.poll() is None and time.monotonic() < deadline and lookout.place() < aim.latest:
        time.sleep(_POLL_SECONDS)


def _checked(code: int, output: IO[bytes]) -> str:
    output.seek(0)
    text = output.read().decode(errors="replace")
    if code:
        raise AdoptionFailedError(f"migrate adopt ended with {code}: {text.strip()[-3000:]}")
    return text
