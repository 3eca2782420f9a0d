"""`rayces users duplicates | merge | erase | erase-student`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id

if TYPE_CHECKING:
    from rayces_core.models.user import User
    from rayces_core.people import Erased

WHERE = click.option("--organization", metavar="NAME", required=True, help="Of which one, by subdomain or id.")
BY = click.option("--by", "actor", metavar="USER", required=True, help="The member of staff who does it.")


@click.group()
@database_options
def users() -> None:
    """Find people who are entered twice, merge them, and forget who asks for it.

    A USER is named by id or by e-mail address.
    """


@users.command(epilog="\b\nExamples:\n  rayces users duplicates --organization north")
@WHERE
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of lines.")
@database_options
@click.pass_obj
def duplicates(settings: Settings, organization: str, as_json: bool) -> None:
    """List users who have a telephone number or a whole name in common."""
    from rayces_core.people import duplicates as listed

    with settings.database() as database, database.tenant(subdomain_or_id(organization)):
        found = listed()
    if as_json:
        from rayces_core.cli.output import print_json

        print_json({"users": [user.id for user in each.users], "common": list(each.common)} for each in found)
        return
    for each in found:
        named = ", ".join(f"{user.id} {user.full_name} <{user.email}>" for user in each.users)
        click.echo(f"{' and '.join(each.common)}: {named}")
    click.echo(f"{len(found)} groups of users may be one person each")


@users.command(
    epilog="""\b
Examples:
  rayces users merge 17 42 --organization north --by desk@example.org --dry-run
  rayces users merge ana@example.org 42 --organization north --by desk@example.org"""
)
@click.argument("keep")
@click.argument("duplicate")
@WHERE
@BY
@click.option("--reason", metavar="TEXT", help="Why; goes into the journal.")
@click.option("--dry-run", is_flag=True, help="Only say what would be moved.")
@database_options
@click.pass_obj
def merge(
    settings: Settings, keep: str, duplicate: str, organization: str, actor: str, reason: str | None, dry_run: bool
) -> None:
    """Give all that is DUPLICATE's to KEEP, in one unit of work.

    Run again it moves what has arrived since, as the credits of a payment that was awaited.
    """
    from rayces_core.people import merge_users, preview_merge

    with settings.database() as database, database.tenant(subdomain_or_id(organization)):
        stays, goes, by = (_user(name) for name in (keep, duplicate, actor))
        done = preview_merge(stays, goes, by=by) if dry_run else merge_users(stays, goes, by=by, reason=reason)
    _show({"credits": sum(done.credits.values()), **done.moved}, "would go" if dry_run else "went")
    for what, count in done.twice.items():
        click.echo(f"{what}: {count} of both are one now")
    state = "would be" if dry_run else "had been" if done.was_repeated else "is"
    click.echo(f"user {done.duplicate_id} {state} merged into user {done.keep_id}")


@users.command(
    epilog="\b\nExamples:\n  rayces users erase 42 --organization north --by desk@example.org --cancel --forfeit"
)
@click.argument("user")
@WHERE
@BY
@click.option("--cancel", is_flag=True, help="Cancel open sessions that lie ahead.")
@click.option("--forfeit", is_flag=True, help="Take the credits that are left, and close payments that are awaited.")
@database_options
@click.pass_obj
def erase(settings: Settings, user: str, organization: str, actor: str, cancel: bool, forfeit: bool) -> None:
    """Forget USER, who asked for it: what says who it was goes, what was done and paid stays."""
    from rayces_core.people import erase_user

    with settings.database() as database, database.tenant(subdomain_or_id(organization)):
        who, by = _user(user), _user(actor)
        _tell(erase_user(database, who, by=by, cancel=cancel, forfeit=forfeit), f"user {who.id}")


@users.command(epilog="\b\nExamples:\n  rayces users erase-student 7 --organization north --by desk@example.org")
@click.argument("student", type=int)
@WHERE
@BY
@click.option("--cancel", is_flag=True, help="Cancel open sessions that lie ahead.")
@database_options
@click.pass_obj
def erase_student(settings: Settings, student: int, organization: str, actor: str, cancel: bool) -> None:
    """Forget the STUDENT of that id, with all that was written of its sessions."""
    from rayces_core.people import erase_student as forget

    with settings.database() as database, database.tenant(subdomain_or_id(organization)):
        _tell(forget(database, student, by=_user(actor), cancel=cancel), f"student {student}")


def _user(name: str) -> User:
    from rayces_core.models.user import User

    by_id = name.isascii() and name.isdigit()
    found: User | None = User.get_or_none(User.id == int(name) if by_id else User.email == name.strip().lower())
    if found is None:
        raise click.BadParameter(f"there is no user {name!r} in this organization")
    return found


def _tell(erased: Erased, who: str) -> None:
    _show({"sessions": erased.cancelled}, "cancelled")
    _show({"credits": erased.forfeited}, "taken")
    _show(erased.changed, "changed")
    click.echo(f"{who} {'had been' if erased.was_repeated else 'is'} erased")


def _show(counts: Mapping[str, Any], what: str) -> None:
    for name, count in counts.items():
        if count:
            click.echo(f"{name}: {count} {what}")
