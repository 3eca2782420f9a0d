"""The processes of the old application, each with one session from before the adoption to its end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from bench.adopting.application import Worker
from bench.adopting.diary import Diary
from bench.adopting.myhub import Size
from bench.adopting.session import Record, Session

_processes = get_context("forkserver")
_processes.set_forkserver_preload(["bench.adopting.application"])
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """How the old application is used: processes, the mean pause after each action, and how statements are sent."""

    workers: int
    pause_seconds: float
    prepared: bool
    seed: int


@dataclass
class Done:
    """What all processes did, and how long each statement of it took."""

    record: Record
    diary: Diary


class Crowd:
    """The processes; they begin at once and go on until `finish`."""

    def __init__(self, url: str, size: Size, load: Load) -> None:
        pipes = [_processes.Pipe() for _ in range(load.workers)]
        self._pipes = [own for own, _ in pipes]
        self._processes = [
            _processes.Process(target=_work, args=(url, size, load, number, theirs), daemon=True)
            for number, (_, theirs) in enumerate(pipes)
        ]
        for process, (_, theirs) in zip(self._processes, pipes, strict=True):
            process.start()
            theirs.close()
        for pipe in self._pipes:
            _answer(pipe)

    def finish(self) -> Done:
        """Let each process finish what it is at; returns what was done."""
        done = Done(Record(), Diary())
        for pipe in self._pipes:
            pipe.send("finish")
        for pipe in self._pipes:
            record, diary = _answer(pipe)
            done.record.extend(record)
            done.diary.extend(diary)
        return done

    def close(self) -> None:
        """Let the processes go; one that does not is ended."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(PATIENCE_SECONDS)
            if process.is_alive():
                process.kill()


@contextmanager
def crowd(url: str, size: Size, load: Load) -> Iterator[Crowd]:
    """A crowd for the block."""
    with closing(Crowd(url, size, load)) as made:
        yield made


def _answer(pipe: Connection) -> tuple[Record, Diary]:
    if not pipe.poll(PATIENCE_SECONDS):
        raise TimeoutError("a process of the old application does not answer")
    answer = pipe.recv()
    if isinstance(answer, BaseException):
        raise answer
    return answer  # type: ignore[no-any-return]


def _work(url: str, size: Size, load: Load, number: int, orders: Connection) -> None:
    pauses = random.Random(number)
    try:
        with closing(Session(url, prepared=load.prepared)) as session:
            worker = Worker(session, size, number, load.workers, load.seed)
            orders.send(None)
            # The pause is spent waiting for the word to finish.
            while not orders.poll(pauses.expovariate(1 / load.pause_seconds) if load.pause_seconds else 0):
                worker.act()
            orders.send((session.record, worker.diary))
    except (EOFError, BrokenPipeError):
        return  # the run was given up
    except Exception as error:
        orders.send(error)
        raise
