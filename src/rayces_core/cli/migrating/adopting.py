"""`rayces migrate adopt`: the database of a running MyHub becomes one organization, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.migrating.runners import FINDINGS, progress_shown, scratch_option, scratch_server
from rayces_core.cli.options import Settings, database_options

if TYPE_CHECKING:
    from rayces_core.migrating.adopting import Adoption, Finding, Outcome, Planned, Report
    from rayces_core.migrating.adopting.rails import RailsAdoption

_SHOWN_CHARACTERS, _SHOWN_TABLES = 80, 3
_COLOURS = {"refusal": "bold red", "choice": "yellow", "note": "dim"}


@click.command(
    epilog="\b\nExamples:\n  rayces migrate adopt --organization-name North --subdomain north --report\n"
    "  rayces migrate adopt --organization-name North --subdomain north --fix orphans=set-aside\n"
    "  rayces migrate adopt --finish"
)
@click.option("--organization-name", "name", metavar="NAME", help="Name of the organization that MyHub becomes.")
@click.option("--subdomain", metavar="SUB", help="Its subdomain.")
@click.option("--old-role", "old_roles", multiple=True, metavar="ROLE", help="Login of the old application.")
@click.option("--fix", "fixes", multiple=True, metavar="KIND=CHOICE", help="What to do about a finding.")
@click.option("--report", "only_report", is_flag=True, help="Say what was found and would be done; nothing is changed.")
@click.option("--finish", is_flag=True, help="The old application is gone: drop what only it needed.")
@click.option("--undo", is_flag=True, help="Go back to plain MyHub, from wherever the adoption stands.")
@click.option("--yes", is_flag=True, help="With --undo: drop bookings, credits and whatever MyHub does not have.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
@scratch_option
@database_options
@click.pass_obj
def adopt(
    settings: Settings,
    name: str | None,
    subdomain: str | None,
    old_roles: tuple[str, ...],
    fixes: tuple[str, ...],
    only_report: bool,
    finish: bool,
    undo: bool,
    yes: bool,
    scratch_url: str | None,
    as_json: bool,
) -> int:
    """Make the database of a running MyHub one organization of this library, that of a Rails rayces several.

    The old application goes on, unchanged, until --finish. What was stopped is gone on with by the same command.

    --report ends with every statement that would be run and about how long it takes, rehearsed in a database of its own
    that is dropped afterwards. The exit code is 1 when a finding stands in the way; nothing was changed then.
    """
    begins = bool(name or subdomain or old_roles or fixes)
    _refuse_mixture(only_report, finish, undo, yes=yes, begins=begins, scratch=scratch_url is not None)
    choices = dict(_pair(fix) for fix in fixes)
    with _shown(settings, name, subdomain, old_roles, choices) as adoption:
        if adoption.needs_name and not (finish or undo or only_report) and not (name and subdomain):
            raise click.UsageError("give --organization-name and --subdomain")
        report = None if finish or undo else adoption.report()
        statements = _planned(adoption, report, scratch_url) if only_report and report is not None else ()
        outcome = None
        if report is None:
            outcome = adoption.finish() if finish else adoption.undo(yes=yes)
        elif not (only_report or report.open):
            outcome = adoption.run()
    # Told when the progress is gone, or its last line would stay in front of the first word.
    if report is not None and outcome is None:
        return _tell_findings(report, statements, as_json=as_json)
    assert outcome is not None  # noqa: S101 - one of the two there is
    return _tell(outcome, report.findings if report else (), as_json=as_json)


def _refuse_mixture(only_report: bool, finish: bool, undo: bool, *, yes: bool, begins: bool, scratch: bool) -> None:
    if only_report + finish + undo > 1:
        raise click.UsageError("give one of --report, --finish and --undo")
    if begins and (finish or undo):
        raise click.UsageError("--finish and --undo know what was adopted; give them without names and choices")
    if yes and not undo:
        raise click.UsageError("--yes belongs to --undo")
    if scratch and not only_report:
        raise click.UsageError("--scratch-url belongs to --report")


def _pair(fix: str) -> tuple[str, str]:
    kind, equals, word = fix.partition("=")
    from rayces_core.migrating.adopting.finding import CHOICES, is_choice

    if not equals or not is_choice(kind, word):
        known = ", ".join(f"{name}={'|'.join(words)}" for name, words in CHOICES.items())
        raise click.UsageError(f"--fix {fix} is no choice; there are {known}")
    return kind, word


@contextmanager
def _shown(
    settings: Settings,
    name: str | None,
    subdomain: str | None,
    old_roles: tuple[str, ...],
    choices: dict[str, str],
) -> Iterator[Adoption | RailsAdoption]:
    from rayces_core.migrating.adopting.choosing import adoption_of

    with progress_shown(settings, "adopting") as (database, on_step, on_progress):
        yield adoption_of(
            database.admin_url,
            name=name,
            subdomain=subdomain,
            old_roles=old_roles,
            choices=choices,
            app_role=database.app_role,
            admin_role=database.admin_role,
            on_step=on_step,
            on_progress=on_progress,
        )


def _planned(adoption: Adoption | RailsAdoption, report: Report, scratch_url: str | None) -> tuple[Planned, ...] | str:
    """What would be done, or why that cannot be said."""
    from rayces_core.errors import MigrationError, MissingExtraError
    from rayces_core.migrating.adopting.choosing import plan_of

    if report.stage is not None or any(finding.severity == "refusal" for finding in report.findings):
        return ()  # no server is started for nothing
    try:
        with scratch_server(scratch_url) as server:
            return plan_of(adoption, report, server)
    except MissingExtraError:
        return "name a server as --scratch-url to see what would be done; there is no embedded one"
    except MigrationError as error:
        return f"it cannot be rehearsed what would be done: {error}"


def _tell_findings(report: Report, statements: tuple[Planned, ...] | str, *, as_json: bool) -> int:
    if as_json:
        done = None if isinstance(statements, str) else [asdict(each) for each in statements]
        findings = [_plain(finding) for finding in report.findings]
        _print({"stage": report.stage, "findings": findings, "statements": done})
    else:
        _show(report.findings)
        _show_statements(statements)
        count = len(report.open)
        found = "1 finding stands" if count == 1 else f"{count} findings stand"
        click.echo(f"{found} in the way" if count else "nothing stands in the way")
    return FINDINGS if report.open else 0


def _show_statements(statements: tuple[Planned, ...] | str) -> None:
    from rayces_core.cli.output import console, table
    from rayces_core.migrating.adopting.rails.planning import EXCHANGE

    if isinstance(statements, str):
        click.echo(statements)
        return
    if not statements:
        return
    shown = table("Step", "Statement", "Lock", "About")
    for each in statements:
        where = f"{each.migration.partition('_')[0]}, {each.step}"
        lock = f"{each.lock} on {_listed(each.locked)}" if each.lock else ""
        shown.add_row(where, _cut(each.sql), lock, f"{each.seconds:.2f} s")
    console().print(shown)
    total = sum(each.seconds for each in statements)
    longest = max(statements, key=lambda each: each.seconds)
    click.echo(
        f"{len(statements)} statements, about {total:.1f} s as rehearsed on made-up rows, waits for locks not counted; "
        f"the longest: {longest.migration}, step {longest.step}, about {longest.seconds:.1f} s"
    )
    held = [each for each in statements if each.migration == EXCHANGE and each.lock]
    if held:
        read = sum(each.seconds for each in held if each.lock == "ACCESS EXCLUSIVE")
        written = sum(each.seconds for each in held)
        click.echo(f"whoever writes to the old tables waits for {written:.1f} s of them, whoever reads {read:.1f} s")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= _SHOWN_TABLES else f"{len(names)} tables"


def _cut(sql: str) -> str:
    return sql if len(sql) <= _SHOWN_CHARACTERS else f"{sql[:_SHOWN_CHARACTERS]}..."


def _tell(outcome: Outcome, findings: tuple[Finding, ...] = (), *, as_json: bool) -> int:
    if as_json:
        _print(asdict(outcome) | {"findings": [_plain(finding) for finding in findings]})
    else:
        _show([finding for finding in findings if finding.severity == "note"])
        for line in _words(outcome):
            click.echo(line)
    return FINDINGS if outcome.differences else 0


def _words(outcome: Outcome) -> Iterator[str]:
    if outcome.words:
        yield from outcome.words
    elif outcome.stage == "adopted":
        yield f"MyHub is organization {outcome.organization_id} now; the old application may go on"
        yield "once it is gone: rayces migrate adopt --finish"
    elif outcome.stage == "finished":
        yield f"the adoption of organization {outcome.organization_id} is finished"
    else:
        yield "this is plain MyHub again; e-mail addresses are what was given"
    for table, count in outcome.set_aside.items():
        yield f"rayces_set_aside keeps {count} rows of {table} as they were"
    for line in outcome.differences:
        yield f"not as before: {line}"


def _show(findings: Any) -> None:
    from rayces_core.cli.output import console, styled, table

    shown = table("Finding", "What", "What to do")
    for finding in findings:
        ids = f" (ids {', '.join(map(str, finding.examples))})" if finding.examples else ""
        done = f"chosen: {finding.chosen}" if finding.chosen else finding.advice
        shown.add_row(styled(finding.kind, _COLOURS[finding.severity]), finding.what + ids, done)
    if shown.row_count:
        console().print(shown)


def _plain(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"choices": finding.choices, "open": finding.is_open}


def _print(content: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(content, indent=2, ensure_ascii=False))
