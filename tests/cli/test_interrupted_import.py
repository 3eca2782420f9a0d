"""Ctrl-C at any place where Python hears of it, on the way of an import to the server and back, is an interruption."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from rayces_core import Database, User
from rayces_core.cli import interrupt
from rayces_core.database import copied_file, cursor, engine
from tests.cli.process import Terminal
from tests.database.test_interruptions import operation
from tests.factory import make_organization
from tests.sizes import quick_or_whole

ROOMS = {module.__file__ for module in (copied_file, cursor, engine, interrupt)}
# Between two of them is Python's own machinery, or none that hears a signal.
PLACES = ("RESUME", "JUMP_BACKWARD")


class Pressed:
    """Raises KeyboardInterrupt at the n-th place of these modules."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._last: dict[FrameType, str] = {}
        self.place = ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in ROOMS:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            here = operation(frame.f_code, frame.f_lasti)
            last, self._last[frame] = self._last.get(frame, ""), here
            if last.startswith("CALL") or here in PLACES:
                self._left -= 1
                if self._left == 0:
                    self.place = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
                    self._last.clear()
                    raise KeyboardInterrupt
        return self


@pytest.mark.slow
def test_ctrl_c_at_any_place_is_an_interruption(bare: Terminal, bare_db: Database, tmp_path: Path) -> None:
    north = make_organization(bare_db, subdomain="north")
    path = tmp_path / "users.csv"
    path.write_text("email,first_name\nana@example.org,Ana\nleo@example.org,Leo\n")
    words = ("import", "users", str(path), "--tenant", "north")
    at, found = 1, []
    while True:
        pressed = Pressed(at)
        before = sys.gettrace()
        sys.settrace(pressed)
        try:
            ran = bare(*words)
        finally:
            sys.settrace(before)
        if not pressed.place:
            assert ran.code == 0, ran.err
            break
        if (ran.code, ran.err.splitlines()[-1:]) != (130, ["rayces: interrupted"]):
            found.append((at, pressed.place, ran.code, ran.err))
        with bare_db.tenant(north):
            assert User.select().count() in (0, 2)
            User.delete().execute()
        at += quick_or_whole(37, 3)
    assert found == []
    assert at > 300
