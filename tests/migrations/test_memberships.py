"""Names and statements by which logins hold roles: what they are, whatever the roles are called."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from rayces_core.migrations.memberships import Standing, disinheriting, holders_of, letting_in, said_once
from rayces_core.migrations.session import auditor_of, reader_of

OLD = Standing(modern=False, inherits=True, more=True, held=["staff"], holders={})
LONG = "a" * 57


def test_no_two_roles_are_held_through_one() -> None:
    """Or whoever was given the one could become the other: also where the application's is the other's stem."""
    for app, admin in (
        ("rayces_app", "rayces_admin"),
        ("rayces", "rayces_admin"),
        ("clinic", "clinic"),
        (f"{LONG}_app", f"{LONG}_admin"),
        (LONG[:55], LONG),
        ("x_reader", "x_admin"),
    ):
        roles = {app, admin, reader_of(admin), auditor_of(admin)}
        names = {role: holders_of(role, admin) for role in roles}
        assert all(len(name) <= 63 for name in names.values())
        assert not [pair for pair in combinations(roles, 2) if names[pair[0]] == names[pair[1]]], (app, admin)


def test_a_holder_that_gives_more_already_is_not_taken_for_one_role() -> None:
    crowded = replace(OLD, holders={"rayces_app_holders": ["rayces_app", "superb"]})
    assert letting_in("web", "rayces_app", crowded, "rayces_admin") == [
        'CREATE ROLE "rayces_app_only_holders" NOLOGIN NOINHERIT NOBYPASSRLS',
        'GRANT "rayces_app" TO "rayces_app_only_holders"',
        'GRANT "rayces_app_only_holders" TO "web"',
    ]


def test_what_is_done_is_not_said_again() -> None:
    holders = {"rayces_holders": ["rayces_app", "rayces_admin"]}
    half = replace(OLD, held=["staff", "rayces_holders"], holders=holders)
    edges = [("rayces_admin", "postgres"), ("rayces_auditor", "postgres")]
    assert disinheriting("web", edges, half, "rayces_admin") == [
        'GRANT "rayces_auditor" TO "rayces_holders"',
        'REVOKE "rayces_admin", "rayces_auditor" FROM "web"',
    ]
    made = disinheriting("web", edges, OLD, "rayces_admin")
    assert made[0].startswith("CREATE ROLE ")
    assert said_once(disinheriting("job", edges, OLD, "rayces_admin"), made)[0].startswith("GRANT ")
