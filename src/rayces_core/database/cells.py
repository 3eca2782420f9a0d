"""Whether a cell of IPython or Jupyter is what runs here: the only place where an interactive session's tenant counts.

Rule it guards: code that serves somebody else never finds the tenant of whoever sits at the notebook. That is told by
the stack of calls, each time: between the cell and here is no task, no thread, no process, no server, no script.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import threading
from functools import cache
from types import CodeType, FrameType
from typing import Any

from rayces_core.database.runners import Runner, runner_here, trio_task_here

_SHELL = "IPython.core.interactiveshell"

# What runs other people's requests, jobs and tests, or commands: whatever called it, the work is not the cell's.
_SERVING = (
    *("socketserver", "wsgiref", "werkzeug", "gunicorn", "uvicorn", "hypercorn", "waitress", "cheroot", "daphne"),
    *("bjoern", "cherrypy", "twisted", "tornado.web", "aiohttp.web", "sanic", "pyramid", "grpc", "streamlit", "dash"),
    *("flask.app", "quart.app", "django.core.handlers", "starlette", "fastapi", "litestar", "falcon", "bottle"),
    *("celery", "rq", "procrastinate", "huey", "dramatiq", "_pytest", "unittest.case", "doctest", "a2wsgi"),
    *("asyncore", "smtpd", "curio", "pika", "kombu", "apscheduler", "arq", "taskiq"),
    "rayces_core.integrations",
)
_COMMANDS = ("click", "rayces_core.cli", "runpy")  # a shell may be one, what a cell calls is none of its own
# What the interpreter or a loop that was entered again runs in the midst of a cell, for whoever has asked for it.
_BETWEEN = {"asyncio.events": "a callback of an event loop", "weakref": "a finalizer"}
_OURS = "rayces_core.integrations.ipython"  # what serves whoever sits there
# What runs a script, or the commands that a shell was started with.
_SCRIPTS = frozenset((("IPython.core.magics.execution", "run"), (_SHELL, "safe_execfile"), (_SHELL, "safe_run_module")))
_PROMPT = ("IPython.terminal.interactiveshell", "interact")
_STARTING = "IPython.core.shellapp"
_SIGNALS = tuple(signal.valid_signals())
_RESUMED = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR  # may go on upon another stack

# The outermost frame of the cell whose whole stack was looked at last: as long as it runs, what called it is the same.
_known: FrameType | None = None
_is_forked = False


def _note_fork() -> None:
    global _is_forked
    _is_forked = True


def is_forked() -> bool:
    """Whether this process was forked from another one that had the library."""
    return _is_forked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def cell_here() -> str | None:
    """Nothing where the cell of an interactive session calls; else what does, in words."""
    if threading.get_ident() != threading.main_thread().ident:
        return "a thread that is not the main one"
    if _is_forked:
        return "a forked process"
    runner = runner_here()
    if runner is None and asyncio._get_running_loop() is not None:
        return "a callback of an event loop"
    runners = {runner, trio_task_here()} - {None}
    return _look_along(sys._getframe(1), [_first_frame(one) for one in runners])


def _look_along(frame: FrameType | None, first: list[FrameType | None]) -> str | None:
    """What the calls on the stack say; `first` are the frames that the tasks which run here begin with."""
    global _known
    if None in first:
        return "a task"
    cell = inner = None
    handlers = _signal_handlers()
    while frame is not None and frame is not _known:
        module = frame.f_globals.get("__name__") or ""
        if _is_told(module):
            if module == _SHELL and frame.f_code.co_name == "run_code":
                cell = cell or inner
            elif (said := _said_by(module, frame.f_code.co_name, is_inner=cell is None)) is not None:
                return said
        if cell is None and frame in first:
            return "a task that a cell has begun"
        if cell is None and (frame.f_code.co_name == "__del__" or frame.f_code in handlers):
            return "a finalizer" if frame.f_code.co_name == "__del__" else "a handler of a signal"
        inner, frame = frame, frame.f_back
    if frame is None and cell is None:
        return "a program"
    if cell is not None and not cell.f_code.co_flags & _RESUMED:
        _known = cell
    return None


def _signal_handlers() -> set[CodeType]:
    """The code that the program's handlers of signals begin with."""
    found = (signal.getsignal(each) for each in _SIGNALS)
    codes = (getattr(getattr(one, "func", one), "__code__", None) for one in found)
    return {code for code in codes if code is not None}


def _said_by(module: str, name: str, *, is_inner: bool) -> str | None:
    if module != _OURS and _is_in(module, _SERVING):
        return f"{module}, which works for others,"
    if is_inner and module in _BETWEEN:
        return _BETWEEN[module]
    is_script = (module, name) in _SCRIPTS or module == _STARTING or (is_inner and _is_in(module, _COMMANDS))
    return "a script" if is_script else None


@cache
def _is_told(module: str) -> bool:
    """Whether a frame of this module may say whose the work is."""
    others = (_SHELL, _STARTING, "IPython.core.magics.execution")
    return module in others or module in _BETWEEN or _is_in(module, _SERVING) or _is_in(module, _COMMANDS)


@cache
def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in packages)


def _first_frame(runner: Runner) -> FrameType | None:
    """Where the code of this task begins."""
    get_coro = getattr(runner, "get_coro", None)  # trio's tasks have an attribute
    coroutine = get_coro() if get_coro is not None else getattr(runner, "coro", None)
    found: FrameType | None = getattr(coroutine, "cr_frame", None)
    return found


def shell_here() -> Any:
    """The shell that somebody sits at, of a kernel or a terminal; None for one that a program embeds or runs."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if get_ipython is None else get_ipython()
    if shell is None or getattr(shell, "kernel", None) is not None:
        return shell
    kinds = {kind.__name__ for kind in type(shell).__mro__}
    at_terminal = "TerminalInteractiveShell" in kinds and "InteractiveShellEmbed" not in kinds
    return shell if at_terminal and sys.stdin is not None and sys.stdin.isatty() and _is_typed() else None


def _is_typed() -> bool:
    """Whether a terminal's prompt has read the cell."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == _PROMPT:
            return True
        frame = frame.f_back
    return False
