"""Runs the command line: turns what a command raises into one sentence on stderr and an exit code.

0 ok · 1 findings · 2 usage · 3 database or configuration · 130 interrupted.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

import click

from rayces_core.cli.options import Settings
from rayces_core.cli.root import Interrupted, ReaderGone, rayces

USAGE, DATABASE, INTERRUPTED, READER_GONE = 2, 3, 130, 141


def main() -> NoReturn:
    """Run the command that `sys.argv` names and end the process with its exit code. SIGTERM is taken for Ctrl-C."""
    # The first process of a container does not hear it otherwise, and is killed with its statement under way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    Args:
        arguments: the words after `rayces`; None takes them from `sys.argv`.
    """
    for stream in (sys.stdout, sys.stderr):
        _print_what_it_can(stream)
    settings = Settings()
    try:
        code = rayces.main(arguments, prog_name="rayces", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except (Interrupted, KeyboardInterrupt, click.Abort):
        return _say("interrupted", INTERRUPTED)
    except (ReaderGone, BrokenPipeError):
        return _reader_gone()
    except Exception as error:
        if settings.debug:
            traceback.print_exc()
        return _explain(error)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "rayces"
        return _say(f"{error.format_message().rstrip('.')}; see `{command} --help`", USAGE)
    if isinstance(error, click.ClickException):
        return _say(error.format_message(), DATABASE)
    from rayces_core.errors import InvalidDataError, RaycesError

    if isinstance(error, RaycesError):
        # Lines that are indented list what to run or where it went wrong; others belong to the sentence.
        sentence = re.sub(r"\n(?!  )\s*", " ", str(error).strip())
        return _say(sentence, USAGE if isinstance(error, InvalidDataError) else DATABASE)
    first = next(iter(str(error).strip().splitlines()), "")
    return _say(f"{type(error).__name__}: {first}; --debug shows where", DATABASE)


def _say(sentence: str, code: int) -> int:
    with suppress(OSError):
        print(f"rayces: {sentence}", file=sys.stderr)
    return code


def _print_what_it_can(stream: TextIO) -> None:
    # A terminal without UTF-8 gets a question mark for what it cannot show, not an error.
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def _reader_gone() -> int:
    """`rayces ... | head`: nobody reads any more, and the interpreter's own flush at exit must not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE
