"""Acceptance: type checkers see what an instance holds, what a query gives and whose row a foreign key leads to."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sizes import exhaustive

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = Path(__file__).parent / "examples.py"


def expected() -> dict[int, str]:
    """Line → the type that is written beside a reveal_type."""
    text = EXAMPLES.read_text()
    lines = text.splitlines()
    calls = [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and called(node)]
    return {line: lines[line - 1].partition("  # ")[2] for line in calls}


def called(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "reveal_type"


def short(revealed: str) -> str:
    """A type without the modules that its parts come from."""
    return re.sub(r"\b[\w.]+\.(\w+)", r"\1", revealed)


def by_mypy() -> dict[int, str]:
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(EXAMPLES)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert "error:" not in said, said
    found = re.findall(r'examples\.py:(\d+): note: Revealed type is "(.*)"', said)
    return {int(line): short(revealed) for line, revealed in found}


def by_pyright() -> dict[int, str]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(EXAMPLES)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    messages = json.loads(said)["generalDiagnostics"]
    assert [message for message in messages if message["severity"] == "error"] == []
    found = {message["range"]["start"]["line"] + 1: message["message"] for message in messages}
    return {line: short(said.rpartition('" is "')[2].rstrip('"')) for line, said in found.items()}


@pytest.fixture(scope="session", params=[by_mypy, *exhaustive(by_pyright)])
def revealed(request) -> dict[int, str]:
    return request.param()


@pytest.mark.slow
def test_a_type_checker_sees_the_types_that_are_written_beside(revealed):
    assert revealed == expected()
