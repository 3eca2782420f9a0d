"""What runs after a commit: in the order in which it came about, and each whatever became of the others.

Rule it guards: what is announced while others are being told waits until those have heard all that came before, so
that an effect is never heard of before its cause.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, TypeVar

from rayces_core.database.runners import runner_here
from rayces_core.errors import ConfigurationError

logger = logging.getLogger("rayces_core")

Function = TypeVar("Function", bound=Callable[..., Any])


class _Round:
    """What is to run, while one thread or task runs it."""

    def __init__(self, callbacks: Iterable[Callable[[], Any]]) -> None:
        self.queue, self.place, self.is_open = deque(callbacks), _here(), True


_round: ContextVar[_Round | None] = ContextVar("rayces_after_commit", default=None)


def refuse_deferred(function: Any, what: str) -> None:
    """Raise ConfigurationError if calling `function` only makes a coroutine or generator, and runs nothing of it."""
    told = function.func if isinstance(function, functools.partial) else function
    for each in (told, inspect.getattr_static(type(told), "__call__", None)):
        if inspect.iscoroutinefunction(each) or inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
            name = getattr(told, "__qualname__", told)
            raise ConfigurationError(
                f"{name} returns before it has run, so it is no {what}; give a plain function, "
                "which may start what is to be awaited, or be called in a thread (asyncio.to_thread)"
            )


class Around(ContextDecorator):
    """A block that is a decorator too: of functions that have run when they return."""

    def __call__(self, function: Function) -> Function:
        """The same function, each call within a block of its own.

        Raises:
            ConfigurationError: it is a coroutine or generator function, which would run after the block.
        """
        refuse_deferred(function, "function for a block to be around")
        return super().__call__(function)


def run_callbacks(callbacks: list[Callable[[], Any]]) -> None:
    """Run what waited for the commit; one that fails is logged, since the commit stands.

    One with a true `waits` that comes about while others run, runs after all of them. What is no Exception, such as a
    cancelled task, is raised once the others have run.
    """
    going_on = _round.get()
    if going_on is not None and going_on.is_open and going_on.place == _here():
        going_on.queue.extend(callback for callback in callbacks if _waits(callback))
        callbacks = [callback for callback in callbacks if not _waits(callback)]
    if callbacks:
        _run_all(_Round(callbacks))


def _run_all(mine: _Round) -> None:
    outer = _round.get()
    token = _round.set(mine if outer is None or not outer.is_open or outer.place != mine.place else outer)
    try:
        run_each(_drained(mine.queue))
    finally:
        mine.is_open = False
        _round.reset(token)


def run_each(callbacks: Iterable[Callable[[], Any]]) -> None:
    """Run these, each whatever became of the others; what fails is logged, what is no Exception raised at the end."""
    stopped: BaseException | None = None
    for callback in callbacks:
        try:
            callback()
        except Exception:
            logger.exception("a callback after the commit failed: %r", callback)
        except BaseException as error:
            stopped = stopped or error
    if stopped is not None:
        raise stopped


def _drained(queue: deque[Callable[[], Any]]) -> Iterator[Callable[[], Any]]:
    while queue:
        yield queue.popleft()


def _waits(callback: Callable[[], Any]) -> bool:
    return getattr(callback, "waits", False)


def _here() -> tuple[int, Any]:
    return threading.get_ident(), runner_here()
