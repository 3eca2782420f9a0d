"""Who may be entered twice: users of one telephone number, or of one name."""

from __future__ import annotations

from typing import Final, NamedTuple

from rayces_core.credits.arguments import check_tenant
from rayces_core.database.binding import current
from rayces_core.models.user import User

MOST: Final = 200
LEAST_DIGITS: Final = 6
# The last ten digits, since the same number is written with a country's prefix and without it.
SIGHTS: Final = {
    "phone": """right(regexp_replace(phone, '[^0-9]', '', 'g'), 10)""",
    "name": "lower(btrim(regexp_replace(concat_ws(' ', first_name, last_name), '\\s+', ' ', 'g')))",
}
SAME: Final = {"phone": f"length(seen) >= {LEAST_DIGITS}", "name": "seen LIKE '%% %%'"}
FOUND: Final = """
SELECT '{sight}', array_agg(id ORDER BY id) FROM (
    SELECT id, {seen} AS seen FROM users
     WHERE organization_id = %(tenant)s AND merged_into_id IS NULL AND erased_at IS NULL
) AS looked_at WHERE {same} GROUP BY seen HAVING count(*) > 1"""
ALL: Final = " UNION ALL ".join(
    FOUND.format(sight=sight, seen=seen, same=SAME[sight]) for sight, seen in SIGHTS.items()
)


class Duplicates(NamedTuple):
    """Users who may be one person, the one that was entered first first, and what they have in common."""

    users: list[User]
    common: tuple[str, ...]


def duplicates(*, limit: int = MOST) -> list[Duplicates]:
    """Groups of users who have a telephone number in common, or a whole name; at most `limit` of them.

    Nobody has the same e-mail address twice. Who was merged or erased is not among them.
    """
    check_tenant()
    values = {"tenant": current().organization_id, "limit": limit}
    found: dict[tuple[int, ...], list[str]] = {}
    for sight, ids in current().engine.run_prepared(f"{ALL} ORDER BY 2, 1 LIMIT %(limit)s", values).fetchall():
        found.setdefault(tuple(ids), []).append(sight)
    known = {user.id: user for user in User.select().where(User.id.in_({key for ids in found for key in ids}))}
    return [Duplicates([known[key] for key in ids], tuple(common)) for ids, common in found.items()]
