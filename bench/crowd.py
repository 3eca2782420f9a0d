"""Several processes that do the same operation at once, each with a contender and a connection of its own."""

from __future__ import annotations

from array import array
from contextlib import closing
from itertools import repeat
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from bench.batch import Batch, timed
from bench.contender import Contender
from bench.facts import Facts

# Not forked from this process, whose connections a child must not inherit, but from one that has only imported.
_processes = get_context("forkserver")
_processes.set_forkserver_preload(["bench.__main__", "bench.contenders.by_hand", "bench.contenders.rayces"])
PATIENCE_SECONDS = 60


class Crowd:
    """So many processes with a contender of this kind, in the block of the organization `subdomain`."""

    def __init__(self, kind: type[Contender], url: str, facts: Facts, subdomain: str, size: int) -> None:
        self._barrier = _processes.Barrier(size)  # kept: the members find it by its name
        pipes = [_processes.Pipe() for _ in range(size)]
        self._pipes = [own for own, _ in pipes]
        self._members = [
            _processes.Process(target=_work, args=(kind, url, facts, subdomain, self._barrier, theirs), daemon=True)
            for _, theirs in pipes
        ]
        for member in self._members:
            member.start()
        for _, theirs in pipes:
            theirs.close()

    def run(self, method: str, arguments: list[tuple[Any, ...]], seconds: float) -> Batch:
        """Have each member repeat the call with its own arguments for so long; all begin together."""
        for pipe, given in zip(self._pipes, arguments, strict=True):
            pipe.send((method, given, seconds))
        parts = [_answer(pipe, seconds) for pipe in self._pipes]
        latencies = array("d")
        for part in parts:
            latencies.extend(part.latencies)
        # perf_counter is the same clock in every process of the machine.
        began, ended = min(part.began for part in parts), max(part.ended for part in parts)
        return Batch(len(latencies), began, ended, sum(part.cpu for part in parts), latencies)

    def close(self) -> None:
        """Let the members go; one that does not is ended."""
        for pipe in self._pipes:
            pipe.close()
        for member in self._members:
            member.join(PATIENCE_SECONDS)
            if member.is_alive():
                member.kill()


def _answer(pipe: Connection, seconds: float) -> Batch:
    if not pipe.poll(seconds + PATIENCE_SECONDS):
        raise TimeoutError("a process of the benchmark does not answer")
    answer = pipe.recv()
    if isinstance(answer, BaseException):
        raise answer
    return answer  # type: ignore[no-any-return]


def _work(kind: type[Contender], url: str, facts: Facts, subdomain: str, barrier: Any, orders: Connection) -> None:
    with closing(kind(url, facts)) as contender, contender.working(subdomain):
        while True:
            try:
                method, given, seconds = orders.recv()
            except EOFError:
                return
            try:
                action = getattr(contender, method)
                barrier.wait(PATIENCE_SECONDS)
                orders.send(timed(action, repeat(given), seconds))
            except Exception as error:
                orders.send(error)
                raise
