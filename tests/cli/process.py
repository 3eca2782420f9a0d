"""Runs the command line in this process, or as a process of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
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
    """Runs commands with the words given, in this process; `url` is their database unless they name one.

    `migrate check` makes its scratch database on the server of `scratch_url`, where there is one, instead of starting a
    server.
    """

    def __init__(
        self, capsys: pytest.CaptureFixture[str], url: str | None = None, scratch_url: str | None = None
    ) -> None:
        self._capsys, self.url, self.scratch_url = capsys, url, scratch_url

    def __call__(self, *words: str) -> Ran:
        self._capsys.readouterr()
        if self.scratch_url and words[:2] == ("migrate", "check"):
            words = (*words, "--scratch-url", self.scratch_url)
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


def on_terminal(
    *words: str,
    streams: tuple[str, ...] = ("stderr",),
    watch: Callable[[str], object] = lambda _: None,
    **variables: str,
) -> tuple[str, str, int]:
    """Run a command whose `streams` are a terminal of 80 columns; gives what that showed, other stdout and the code.

    Whenever it shows more, `watch` is given all that it has shown.
    """
    master, slave = pty.openpty()
    screen = environment(**{"TERM": "xterm-256color", "COLUMNS": "80"} | variables)
    process = Forked(*words, env=screen, **dict.fromkeys(streams, slave))
    os.close(slave)
    with os.fdopen(master, "rb") as terminal:
        shown = b""
        while part := _read(terminal.fileno()):
            shown += part
            watch(shown.decode(errors="replace"))
    out, _ = process.communicate(timeout=120)
    return shown.decode(), out, int(process.returncode or 0)


def answered(*words: str, answer: str | None, **variables: str) -> tuple[str, int]:
    """Run a command on a terminal where somebody answers its question; gives the text left there, and the code.

    Args:
        answer: what is typed at the question, or ^C; None where there must be no question.
    """
    master, slave = pty.openpty()
    screen = environment(**{"TERM": "xterm-256color", "COLUMNS": "100"} | variables)
    process = Forked(*words, env=screen, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    with process, os.fdopen(master, "r+b", buffering=0) as terminal:
        while True:
            # What is typed while the line editor sets up its terminal may be lost, so it is typed again.
            if select.select([terminal], [], [], 2)[0]:
                if not (part := _read(terminal.fileno())):
                    break
                shown += part
            if shown.endswith(b"[y/N]: "):
                assert answer is not None, shown
                if answer == "^C":
                    process.send_signal(signal.SIGINT)
                else:
                    terminal.write(answer.encode())
    process.communicate(timeout=120)
    return as_seen(shown.decode()), int(process.returncode or 0)


def as_seen(shown: str) -> str:
    """The text that is left on a screen: without colours, and without lines that were erased."""
    lines: list[str] = [""]
    for part in re.split(r"(\x1b\[\d*[A-Za-z]|\x1b\[[\d;?]*[A-Za-z]|\r|\n)", shown):
        if part == "\n":
            lines.append("")
        elif part == "\x1b[2K":
            lines[-1] = ""
        elif part == "\x1b[1A":
            lines.pop()
        elif not part.startswith(("\x1b", "\r")):
            lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # what Linux says when the other side has closed
        return b""


def is_one_sentence(text: str) -> bool:
    return text.startswith("rayces: ") and text.count("\n") == 1 and "Traceback" not in text
