"""Rows of MyHub that would not fit: found and counted, and settled as was chosen.

Rule it guards: no row is lost. What leaves its table, and what is changed, is kept whole in `rayces_set_aside`,
written in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from rayces_core.migrating.adopting import authors, noting
from rayces_core.migrating.adopting.addresses import EXAMPLES, PLACEHOLDER_HOST, Addresses
from rayces_core.migrating.adopting.finding import Finding, answered, choice, refuse_open
from rayces_core.migrating.adopting.noting import BATCH_ROWS
from rayces_core.migrating.adopting.recognition import REFERENCES
from rayces_core.migrating.adopting.record import ForeignKey, foreign_keys
from rayces_core.migrating.myhub import SET_ASIDE
from rayces_core.migrations.retry import retrying
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

Result = TypeVar("Result")

# Which rows would not fit, each a query of ids; Addresses.sql says what NORMAL and TRIMMED stand for.
MISSING_EMAILS = "SELECT id FROM users WHERE coalesce(TRIMMED(email), '') = ''"
SHARED_EMAILS = """
SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY NORMAL(email) ORDER BY id) AS place
                  FROM users WHERE TRIMMED(email) <> '') AS placed WHERE place > 1
"""
ORPHANED_POSTS = (
    "SELECT id FROM posts WHERE posts.user_id IS NOT NULL "
    "AND NOT EXISTS (SELECT FROM users u WHERE u.id = posts.user_id)"
)
ORPHANED_LIKES = """
SELECT likes.id
  FROM likes LEFT JOIN users u ON u.id = likes.user_id
  LEFT JOIN posts p ON p.id = likes.post_id LEFT JOIN users author ON author.id = p.user_id
 WHERE u.id IS NULL OR p.id IS NULL OR (p.user_id IS NOT NULL AND author.id IS NULL)
"""
REPEATED_LIKES = """
SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY user_id, post_id ORDER BY id) AS place
                  FROM likes WHERE user_id IS NOT NULL AND post_id IS NOT NULL) AS placed WHERE place > 1
"""
# Each user and the one it is merged into; the keeper into itself.
_MERGED = """
SELECT id, first_value(id) OVER (PARTITION BY NORMAL(email) ORDER BY id) AS keeper
  FROM users WHERE TRIMMED(email) <> ''
"""
LIKES_LOST_BY_MERGING = f"""
SELECT id FROM (SELECT l.id, m.id <> m.keeper AS merged,
                       row_number() OVER (PARTITION BY m.keeper, l.post_id ORDER BY m.id, l.id) AS place
                  FROM likes l JOIN ({_MERGED}) AS m ON m.id = l.user_id) AS placed WHERE merged AND place > 1
"""
_UNIQUE_WITH = """
SELECT x.relname::text, pg_get_expr(i.indpred, i.indrelid),
       array(SELECT quote_ident(a.attname) FROM pg_attribute a
              WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
 WHERE i.indrelid = %s::regclass AND i.indisunique AND i.indexprs IS NULL
"""
# Asked again when a row is about to be set aside: the application goes on, and may have deleted the first like.
_STILL_REPEATED = """
EXISTS (SELECT FROM likes k WHERE k.user_id = likes.user_id AND k.post_id = likes.post_id AND k.id < likes.id)
"""
# The last @ parts name and host; an address without one is all name.
_RENAMED = (
    "regexp_replace(NORMAL(u.email), '@[^@]*$', '') || '+' || u.id "
    "|| coalesce(substring(NORMAL(u.email) FROM '@[^@]*$'), '')"
)
_NOT_FREE = f"""
SELECT u.id FROM users u JOIN users o ON NORMAL(o.email) = {_RENAMED}
 WHERE u.id IN ({SHARED_EMAILS}) ORDER BY 1 LIMIT {EXAMPLES:d}
"""
_KINDS = (
    ("missing-emails", MISSING_EMAILS, "users have no e-mail address",
     f"they can be given user-<id>@{PLACEHOLDER_HOST}"),
    ("emails", SHARED_EMAILS, "users have the e-mail address of an older user once spaces and case are set aside",
     "the older one keeps it, the other is given name+<id>@host, or is merged into the older one"),
    ("orphans", ORPHANED_POSTS, "posts have an author who does not exist",
     "they can be moved to rayces_set_aside with their likes"),
    ("orphans", ORPHANED_LIKES, "likes have no user, no post, or a post whose author does not exist",
     "they can be moved to rayces_set_aside"),
    ("repeated-likes", REPEATED_LIKES, "likes repeat an older one of the same user and post",
     "they can be moved to rayces_set_aside"),
)  # fmt: skip


def findings(database: MigrationDatabase, choices: Mapping[str, str]) -> list[Finding]:
    """Rows that would not fit, with what was chosen, and what stands in the way of the choice."""
    found, spell = authors.findings(database), Addresses(database).sql
    for kind, text, what, does in _KINDS:
        query = spell(authors.readable(database, text))
        count = int(database.one(f"SELECT count(*) FROM ({query}) AS ids"))
        if count:
            examples = database.execute_sql(f"SELECT id FROM ({query}) AS ids ORDER BY id LIMIT {EXAMPLES:d}")
            ids = tuple(key for (key,) in examples.fetchall())
            found.append(choice(kind, f"{count} {what}", does, count=count, examples=ids))
    blocked = authors.obstacles(database, choices.get(authors.KIND))
    return [*answered(found, choices), *blocked, *_obstacles(database, found, choices)]


def fill_times(database: MigrationDatabase, table: str) -> None:
    """Give rows without created_at or updated_at the other one, or now, and note each as it was."""
    made, changed = "coalesce(was.created_at, was.updated_at, now())", "coalesce(was.updated_at, was.created_at, now())"
    noting.fill(
        database,
        table,
        f"created_at = {made}, updated_at = {changed}",
        "created_at IS NULL OR updated_at IS NULL",
        "it lacked created_at or updated_at, and was given the other one or now",
    )


class Settling:
    """Does with the rows that would not fit what was chosen; it may be stopped anywhere and done again."""

    # As steps call what they run.
    __name__ = "settle_rows"

    def __init__(self, database: MigrationDatabase, choices: Mapping[str, str]) -> None:
        self.database, self.choices = database, choices
        self._spell = Addresses(database).sql

    def __call__(self) -> None:
        """Settle every row; raises MigrationError, changing nothing, for a kind that nothing was chosen for."""
        kinds = {finding.kind for finding in self._refused_if_open()}
        if authors.KIND in kinds:
            self._settle_authors()
        if "orphans" in kinds:
            self._set_aside("likes", ORPHANED_LIKES, "its user, its post or the author of its post does not exist")
            self._set_aside("posts", ORPHANED_POSTS, "its author does not exist")
        if "missing-emails" in kinds:
            for key in self._ids(MISSING_EMAILS):
                self._retried(partial(self._name, key, f"user-{key}@{PLACEHOLDER_HOST}", "it had no address"))
        if "emails" in kinds:
            act = self._merge if self.choices["emails"] == "merge" else self._rename
            for key in self._ids(SHARED_EMAILS):
                self._retried(partial(act, key))
        if kinds & {"repeated-likes", "emails"} and "repeated-likes" in self.choices:
            self._set_aside("likes", REPEATED_LIKES, "it repeats an older like", _STILL_REPEATED)

    def _settle_authors(self) -> None:
        if self.choices[authors.KIND] == authors.SET_ASIDE:
            self._set_aside("likes", authors.AUTHORLESS_LIKES, "its post has no author")
            self._set_aside("posts", authors.AUTHORLESS_POSTS, "it has no author")
        elif self.choices[authors.KIND] != authors.NULLABLE:
            authors.fill(self.database)

    def _refused_if_open(self) -> list[Finding]:
        found = findings(self.database, self.choices)
        refuse_open(found, "rows that do not fit were written meanwhile; answer them and run it again")
        return found

    def _ids(self, query: str) -> list[int]:
        return [key for (key,) in self.database.execute_sql(f"{self._spell(query)} ORDER BY id").fetchall()]

    def _retried(self, action: Callable[[], Result]) -> Result:
        def attempt(_number: int) -> Result:
            with self.database.atomic():
                return action()

        return retrying(attempt, "settling rows of MyHub", self.database.retry_seconds)

    def _set_aside(self, table: str, query: str, reason: str, condition: str = "true") -> None:
        ids = self._ids(query)
        for start in range(0, len(ids), BATCH_ROWS):
            batch = ids[start : start + BATCH_ROWS]
            self._retried(partial(self._move, table, batch, reason, condition))

    def _move(self, table: str, ids: list[int], reason: str, condition: str = "true") -> None:
        self.database.execute_sql(
            f"WITH gone AS (DELETE FROM {table} WHERE id = ANY (%s) AND {condition} RETURNING *) "
            f'INSERT INTO {SET_ASIDE} (table_name, "row", reason) SELECT %s, to_jsonb(gone), %s FROM gone',
            (ids, table, reason),
        )

    def _note(self, key: int, reason: str) -> None:
        self.database.execute_sql(
            f"INSERT INTO {SET_ASIDE} (table_name, \"row\", reason) SELECT 'users', to_jsonb(users), %s FROM users "
            "WHERE id = %s",
            (reason, key),
        )

    def _name(self, key: int, address: str, reason: str) -> None:
        self._note(key, f"{reason}; it was given {address}")
        self.database.execute_sql("UPDATE users SET email = %s WHERE id = %s", (address, key))

    def _rename(self, key: int) -> None:
        keeper = self._keeper(key)
        if keeper is not None:
            address = self.database.one(self._spell(f"SELECT {_RENAMED} FROM users u WHERE u.id = %s"), key)
            self._name(key, address, f"user {keeper} has the same address")

    def _merge(self, key: int) -> None:
        keeper = self._keeper(key)
        if keeper is None:
            return
        self._move(
            "likes",
            self._ids_of(
                "SELECT id FROM likes WHERE user_id = %s AND EXISTS "
                "(SELECT FROM likes k WHERE k.user_id = %s AND k.post_id = likes.post_id)",
                key,
                keeper,
            ),
            f"user {key} is merged into user {keeper}, who likes the same post",
        )
        moved = [self._hand_over(path, column, key, keeper) for path, column in self._belongings()]
        self._move("users", [key], "; ".join([f"merged into user {keeper}", *filter(None, moved)]))

    def _belongings(self) -> list[tuple[str, str]]:
        """(table, column) of what refers to users, as SQL: MyHub's two, and whatever else has a foreign key."""
        others = [
            (key.path, key.columns)
            for key in foreign_keys(self.database)
            if (key.table, key.columns) not in REFERENCES and (key.target, key.target_columns) == ("users", "id")
        ]
        return [
            ("posts", "user_id"),
            ("likes", "user_id"),
            *((path, quote_identifier(column)) for path, column in others),
        ]

    def _hand_over(self, path: str, column: str, key: int, keeper: int) -> str:
        change = self.database.execute_sql(
            f"WITH moved AS (UPDATE {path} AS t SET {column} = %s WHERE {column} = %s "
            "RETURNING to_jsonb(t) ->> 'id' AS id) SELECT string_agg(id, ', ') FROM moved",
            (keeper, key),
        )
        ids = change.fetchone()[0]
        return f"{path} {ids} moved" if ids else ""

    def _ids_of(self, query: str, *values: object) -> list[int]:
        return [key for (key,) in self.database.execute_sql(query, values).fetchall()]

    def _keeper(self, key: int) -> int | None:
        """The older user of the same address; None when meanwhile there is none. Locks the row."""
        self.database.one("SELECT id FROM users WHERE id = %s FOR UPDATE", key)
        keeper: int | None = self.database.one(
            self._spell(
                "SELECT min(k.id) FROM users k JOIN users u ON NORMAL(k.email) = NORMAL(u.email) "
                "WHERE u.id = %s AND k.id < u.id"
            ),
            key,
        )
        return keeper


def _obstacles(database: MigrationDatabase, found: list[Finding], choices: Mapping[str, str]) -> Iterator[Finding]:
    kinds, spell = {finding.kind for finding in found if choices.get(finding.kind)}, Addresses(database).sql
    if "emails" in kinds and choices["emails"] == "rename":
        taken = tuple(key for (key,) in database.execute_sql(spell(_NOT_FREE)).fetchall())
        if taken:
            yield Finding(
                "emails", "refusal", "the address name+<id>@host is taken as well",
                "give these users an address yourself", len(taken), taken,
            )  # fmt: skip
    leaving: list[tuple[str, str]] = []
    if "emails" in kinds and choices["emails"] == "merge":
        leaving += [("likes", spell(LIKES_LOST_BY_MERGING))]
        for key in foreign_keys(database):
            if (key.table, key.columns) not in REFERENCES and (key.target, key.target_columns) == ("users", "id"):
                yield from _doubled(database, key)
    if "orphans" in kinds:
        leaving += [("posts", ORPHANED_POSTS), ("likes", ORPHANED_LIKES)]
    if choices.get(authors.KIND) == authors.SET_ASIDE and authors.KIND in kinds:
        leaving += [("posts", authors.AUTHORLESS_POSTS), ("likes", authors.AUTHORLESS_LIKES)]
    if "repeated-likes" in kinds:
        leaving += [("likes", REPEATED_LIKES)]
    for key in foreign_keys(database) if leaving else []:
        yield from _referred(database, key, leaving)


def _referred(database: MigrationDatabase, key: ForeignKey, leaving: list[tuple[str, str]]) -> Iterator[Finding]:
    """Rows of other tables that hang on what is to be set aside: they would be refused, or deleted with it."""
    for table, asked in leaving:
        query = authors.readable(database, asked)
        if key.target != table or (key.table, key.columns) in REFERENCES or key.target_columns != "id":
            continue
        column = quote_identifier(key.columns)
        count = int(database.one(f"SELECT count(*) FROM {key.path} WHERE {column} IN ({query})"))
        if count:
            yield Finding(
                "orphans", "refusal", f"{count} rows of {key.path} refer to rows of {table} that would be set aside",
                "settle those rows yourself before", count,
            )  # fmt: skip


def _doubled(database: MigrationDatabase, key: ForeignKey) -> Iterator[Finding]:
    """Rows of other tables of which each user has but one, so that those of a merged user could not be handed over."""
    column, merged = quote_identifier(key.columns), Addresses(database).sql(_MERGED)
    for index, predicate, names in database.execute_sql(_UNIQUE_WITH, (key.path,)).fetchall():
        if column.strip('"') not in [name.strip('"') for name in names]:
            continue
        others = [f"t.{name}" for name in names if name.strip('"') != column.strip('"')]
        count = database.one(
            f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM (SELECT * FROM {key.path} WHERE "
            f"{predicate or 'true'}) AS t JOIN ({merged}) AS m ON m.id = t.{column} "
            f"GROUP BY {', '.join(['m.keeper', *others])} HAVING count(*) > 1) AS doubled"
        )
        if count:
            yield Finding(
                "emails", "refusal", f"{count} rows of {key.path} cannot go to the older user, who has one ({index})",
                "settle those rows yourself before, or choose --fix emails=rename", int(count),
            )  # fmt: skip
