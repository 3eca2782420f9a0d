"""How a login comes to hold roles without inheriting them: the statements, and the facts that decide which.

A login that inherits a role sees its rows without having become it. Since PostgreSQL 16 each membership says whether it
is inherited. Before, the login says it of all its memberships: one that is a member of others too, or owns a database,
would lose by NOINHERIT what it has of them, and holds the roles through another one that inherits nothing.

Rule it guards: nobody holds more by what is said here than was wanted, and nobody loses anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# Of the role with the alias `m`, as one value. `{ours}` stands for an array of the library's roles, as text[].
_STANDING: Final = """
jsonb_build_object(
    'modern', current_setting('server_version_num')::int >= 160000,
    'inherits', m.rolinherit,
    'more', EXISTS (SELECT FROM pg_database d WHERE d.datdba = m.oid)
            OR EXISTS (SELECT FROM pg_auth_members b JOIN pg_roles o ON o.oid = b.roleid
                        WHERE b.member = m.oid AND o.rolname <> ALL ({ours})
                          AND NOT (o.rolname LIKE '%%\\_holders' AND NOT o.rolinherit
                                   AND EXISTS (SELECT FROM pg_auth_members h JOIN pg_roles p ON p.oid = h.roleid
                                                WHERE h.member = o.oid AND p.rolname = ANY ({ours})))),
    'held', ARRAY(SELECT o.rolname::text FROM pg_auth_members b JOIN pg_roles o ON o.oid = b.roleid
                   WHERE b.member = m.oid),
    'holders', (SELECT coalesce(jsonb_object_agg(o.rolname, ARRAY(
                       SELECT p.rolname::text FROM pg_auth_members b JOIN pg_roles p ON p.oid = b.roleid
                        WHERE b.member = o.oid)), '{{}}')
                  FROM pg_roles o WHERE o.rolname LIKE '%%\\_holders')
)"""
# PostgreSQL cuts names of more than 63 bytes off.
_LONGEST_STEM: Final = 55
_LONGEST_OWN: Final = 50


def standing_of(ours: str) -> str:
    """SQL for what `Standing` is made of, on a role with the alias `m`; `ours` is SQL for the library's roles."""
    return _STANDING.format(ours=ours)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a role is, as far as it decides how it may hold another one.

    Attributes:
        modern: memberships say whether they are inherited. inherits: the role inherits what says nothing of its own.
        more: it owns a database, or is a member of roles that are not the library's.
        held: the roles it is a member of itself. holders: of each role that holds others for logins, what it holds.
    """

    modern: bool
    inherits: bool
    more: bool
    held: Sequence[str]
    holders: Mapping[str, Sequence[str]]


def letting_in(login: str, role: str, standing: Standing, admin: str) -> list[str]:
    """The statements after which that login can become this role and does not inherit it; it holds it in no way yet."""
    if standing.modern:
        return [f"GRANT {_quoted(role)} TO {_quoted(login)} WITH INHERIT FALSE, SET TRUE"]
    if standing.inherits and standing.more:
        return by_way_of_holders(login, [role], standing, admin)
    first = [f"ALTER ROLE {_quoted(login)} NOINHERIT"] if standing.inherits else []
    return [*first, f"GRANT {_quoted(role)} TO {_quoted(login)}"]


def disinheriting(member: str, edges: Sequence[tuple[str, str]], standing: Standing, admin: str) -> list[str]:
    """The statements after which that role can become what it inherits now, and inherits it no more.

    Args:
        member: the role. edges: of each membership the role that is inherited, and who granted it.
    """
    if standing.modern:
        return [
            f"GRANT {_quoted(role)} TO {_quoted(member)} WITH INHERIT FALSE, SET TRUE GRANTED BY {_quoted(by)}"
            for role, by in edges
        ]
    if not standing.more:
        return [f"ALTER ROLE {_quoted(member)} NOINHERIT"]
    roles = sorted({role for role, _ in edges})
    taken = f"REVOKE {', '.join(map(_quoted, roles))} FROM {_quoted(member)}"
    return [*by_way_of_holders(member, roles, standing, admin), taken]


def by_way_of_holders(login: str, roles: Sequence[str], standing: Standing, admin: str) -> list[str]:
    """The statements that give a login roles through one that inherits nothing: one for each, with the admin role one.

    Who may become the admin role gains nothing by the others; anybody else gets no role that was not wanted.
    """
    if admin in roles:
        return held_by(login, roles, holders_of(admin, admin), standing)
    return [
        statement
        for role in roles
        for statement in held_by(login, [role], _free_holders(role, admin, standing), standing)
    ]


def held_by(login: str, roles: Sequence[str], holders: str, standing: Standing) -> list[str]:
    """The statements that give a login roles through the role of that name, less those that are done."""
    there = holders in standing.holders
    lacking = [role for role in roles if role not in standing.holders.get(holders, ())]
    steps = [] if there else [f"CREATE ROLE {_quoted(holders)} NOLOGIN NOINHERIT NOBYPASSRLS"]
    steps += [f"GRANT {_quoted(role)} TO {_quoted(holders)}" for role in lacking]
    if holders not in standing.held:
        steps.append(f"GRANT {_quoted(holders)} TO {_quoted(login)}")
    return steps


def holders_of(role: str, admin: str) -> str:
    """Name of the role through which logins of PostgreSQL 15 hold another one without inheriting it.

    That of the admin role, rayces_holders, may hold the others besides; those of the others hold one each.
    """
    shared = f"{admin.removesuffix('_admin')[:_LONGEST_STEM]}_holders"
    if role == admin:
        return shared
    name = f"{_stem(role, _LONGEST_STEM)}_holders"
    return name if name != shared else _other_name(role)


def said_once(statements: Iterable[str], said: Iterable[str]) -> list[str]:
    """The statements without those that make a role which one of the others has made before."""
    made = {statement for statement in said if statement.startswith("CREATE ROLE ")}
    return [statement for statement in statements if statement not in made]


def _free_holders(role: str, admin: str, standing: Standing) -> str:
    """The name, unless a role of that name gives more already."""
    name = holders_of(role, admin)
    return name if set(standing.holders.get(name, ())) <= {role} else _other_name(role)


def _other_name(role: str) -> str:
    return f"{_stem(role, _LONGEST_OWN)}_only_holders"


def _stem(role: str, longest: int) -> str:
    """The name, or where it is too long one that no other name gives."""
    return role if len(role) <= longest else f"{role[: longest - 9]}_{hashlib.sha256(role.encode()).hexdigest()[:8]}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
