"""Runs the command line in this process, or as a process of its own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from rayces_core.cli import run
from tests.cli.forked import Forked

# Options of a command on a terminal, and whether its progress is shown there; each is a process of its own. That the
# quiet see none, `make test` tries with `rayces import` alone.
SHOWN = [
    ([], True),
    *(pytest.param([option], False, marks=pytest.mark.exhaustive) for option in ("--quiet", "--json")),
]


@dataclass
class Ran:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


class Terminal:
    """Runs commands with the words given, in this process; `url` is their database unless they name one."""

    def __init__(self, capsys: pytest.CaptureFixture[str], url: str | None = None) -> None:
        self._capsys, self.url = capsys, url

    def __call__(self, *words: str) -> Ran:
        self._capsys.readouterr()
        code = run([*(["--database-url", self.url] if self.url else []), *words])
        printed = self._capsys.readouterr()
        return Ran(code, printed.out, printed.err)


# A shell that starts a run in the background lets it ignore Ctrl-C, and so would every process of it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would lead a command elsewhere, and with `variables`."""
    ours = {"RAYCES_DATABASE_URL", "NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    return {name: value for name, value in os.environ.items() if name not in ours} | variables


def start(*words: str, **options: object) -> subprocess.Popen[str]:
    """Start a command as a process whose output is collected."""
    defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    return subprocess.Popen([sys.executable, "-m", "rayces_core", *words], **(defaults | options))


def on_terminal(*words: str, streams: tuple[str, ...] = ("stderr",), **variables: str) -> tuple[str, str, int]:
    """Run a command whose `streams` are a terminal of 80 columns; gives what that showed, other stdout and the code."""
    master, slave = pty.openpty()
    screen = environment(**{"TERM": "xterm-256color", "COLUMNS": "80"} | variables)
    process = Forked(*words, env=screen, **dict.fromkeys(streams, slave))
    os.close(slave)
    with os.fdopen(master, "rb") as terminal:
        shown = b"".join(iter(lambda: _read(terminal.fileno()), b"")).decode()
    out, _ = process.communicate(timeout=120)
    return shown, out, int(process.returncode or 0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # what Linux says when the other side has closed
        return b""


def is_one_sentence(text: str) -> bool:
    return text.startswith("rayces: ") and text.count("\n") == 1 and "Traceback" not in text
