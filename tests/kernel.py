"""A real kernel of Jupyter: what a cell prints, shows and raises, as a front end is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.manager import KernelManager

from tests.patience import SECONDS, wait_until


@dataclass
class Ran:
    """What came of one cell. `shown` are the MIME bundles of results and displays, in their order."""

    printed: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""  # the class's name
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0

    @property
    def value(self) -> str:
        """The result as plain text."""
        return str(self.result.get("text/plain", ""))


class Kernel:
    """One kernel, for many cells."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager, self.client = manager, client

    def try_cell(self, code: str) -> Ran:
        """Run a cell."""
        ran = Ran()
        self.client.execute_interactive(code, timeout=SECONDS, output_hook=lambda message: _take(ran, message))
        return ran

    def interrupted(self, code: str, *, once: Callable[[], object]) -> Ran:
        """Run a cell that is interrupted once the condition holds; `seconds` are those until its end from then on."""
        pressed: list[float] = []

        def press() -> None:
            wait_until(once)
            pressed.append(time.monotonic())
            self.manager.interrupt_kernel()

        pressing = threading.Thread(target=press)
        pressing.start()
        ran = self.try_cell(code)
        ended = time.monotonic()
        pressing.join()
        ran.seconds = ended - pressed[0]
        return ran

    def cell(self, code: str) -> Ran:
        """Run a cell that must not fail."""
        ran = self.try_cell(code)
        assert not ran.error, f"{ran.error}: {ran.message}\n{ran.traceback}"
        return ran

    def completions(self, code: str) -> list[str]:
        """What Tab offers at the end of `code`."""
        reply = self.client.complete(code, len(code), reply=True, timeout=SECONDS)
        return [match.rpartition(".")[2] for match in reply["content"]["matches"]]


def _take(ran: Ran, message: dict[str, Any]) -> None:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        ran.printed += content["text"]
    elif kind == "error":
        ran.error, ran.message = content["ename"], content["evalue"]
        ran.traceback = "\n".join(content["traceback"])
    elif kind in ("execute_result", "display_data"):
        ran.shown.append(content["data"])
        if kind == "execute_result":
            ran.result = content["data"]


@contextmanager
def kernel_running() -> Iterator[Kernel]:
    """Start a kernel for the block."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(extra_arguments=["--HistoryManager.enabled=False"])
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
