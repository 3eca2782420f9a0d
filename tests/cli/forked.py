"""A command as a process of its own that is forked from one that has imported everything: a tenth of the time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from io import TextIOWrapper
from multiprocessing import reduction
from typing import Any

from rayces_core.cli import main


class _Descriptor:
    """A file descriptor that goes along to the process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _arrived, (reduction.DupFd(self.number),)


def _arrived(sent: Any) -> _Descriptor:
    return _Descriptor(sent.detach())


class Forked:
    """What of `subprocess.Popen` the tests use; stdout and stderr are pipes unless they are given, stdin is empty."""

    def __init__(self, *words: str, env: dict[str, str], **streams: int) -> None:
        ours, theirs = {}, dict(streams)
        for name in {"stdout", "stderr"} - set(streams):
            ours[name], theirs[name] = os.pipe()
        self.stdout, self.stderr = (
            os.fdopen(ours[name], encoding="utf-8") if name in ours else None for name in ("stdout", "stderr")
        )
        goes_along = {name: _Descriptor(number) for name, number in theirs.items()}
        self._process = multiprocessing.get_context("forkserver").Process(target=_be, args=(words, env, goes_along))
        self._process.start()
        for name in ours:
            os.close(theirs[name])

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            self._process.kill()
        self.communicate(timeout=60)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid or 0, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Everything it prints to pipes; returns when it has ended."""
        said = {"stdout": "", "stderr": ""}

        def read(name: str, stream: Any) -> None:
            with stream:
                said[name] = stream.read()

        pipes = [(name, stream) for name in said if (stream := getattr(self, name)) and not stream.closed]
        readers = [threading.Thread(target=read, args=pipe) for pipe in pipes]
        for reader in readers:
            reader.start()
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"it has not ended after {timeout} s"
        for reader in readers:
            reader.join()
        return said["stdout"], said["stderr"]


def _be(words: tuple[str, ...], env: dict[str, str], streams: dict[str, _Descriptor]) -> None:
    """Become `python -m rayces_core` with these words, environment and streams."""
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "stdin" in streams:
        os.dup2(streams["stdin"].number, 0)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it is open until the process ends
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(streams[name].number, number)
        os.close(streams[name].number)
        setattr(sys, name, _text(number))
    sys.argv = ["rayces", *words]
    main()


def _text(number: int) -> TextIOWrapper:
    """As the interpreter opens it at its start."""
    return open(number, "w", encoding="utf-8", buffering=1 if number == 2 or os.isatty(number) else -1)
