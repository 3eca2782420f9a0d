"""Posts that have no author: a MyHub may have no posts.user_id at all, or leave it empty.

Rule it guards: a post keeps its place. Who writes posts without saying whose goes on doing so until `--finish`, and
the author that was chosen for them is theirs.
"""

from __future__ import annotations

from contextlib import suppress

import peewee

from rayces_core.migrating.adopting import noting
from rayces_core.migrating.adopting.addresses import Addresses
from rayces_core.migrating.adopting.columns import is_required
from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.record import Before, Record, columns
from rayces_core.migrating.adopting.shaping import Statements
from rayces_core.migrating.myhub import RECORD
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

KIND, NULLABLE, SET_ASIDE = "missing-author", "nullable", "set-aside"
AUTHORLESS_POSTS = "SELECT id FROM posts WHERE user_id IS NULL"
AUTHORLESS_LIKES = "SELECT likes.id FROM likes JOIN posts p ON p.id = likes.post_id WHERE p.user_id IS NULL"
TRIGGER = "rayces_adoption_author"
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.user_id := {{author:d}};
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER {TRIGGER} BEFORE INSERT OR UPDATE OF user_id ON posts FOR EACH ROW
    WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION {TRIGGER}()
"""


def has_authors(database: MigrationDatabase) -> bool:
    """Whether posts have a column for their author."""
    return ("posts", "user_id") in {(column.table, column.name) for column in columns(database)}


def lacks_authors(before: Before) -> bool:
    """Whether MyHub had no such column."""
    return ("posts", "user_id") not in {(column.table, column.name) for column in before.columns}


def readable(database: MigrationDatabase, query: str) -> str:
    """The query for a MyHub that may have no posts.user_id yet."""
    if has_authors(database):
        return query
    return query.replace("posts.user_id", "NULL::bigint").replace("p.user_id", "NULL::bigint")


def findings(database: MigrationDatabase) -> list[Finding]:
    """Posts without an author."""
    does = (
        "they, and those that MyHub writes until --finish, are given to the user of an address, who is made if need "
        "be, or stay without one (post.user_id is None then)"
    )
    if not has_authors(database):
        count = int(database.one("SELECT count(*) FROM posts"))
        return [choice(KIND, f"posts has no column user_id, so {count} posts have no author", does, count=count)]
    count = int(database.one(f"SELECT count(*) FROM ({AUTHORLESS_POSTS}) AS ids"))
    if not count:
        return []
    examples = database.execute_sql(f"{AUTHORLESS_POSTS} ORDER BY id LIMIT 5").fetchall()
    ids = tuple(key for (key,) in examples)
    does = f"{does}, or are moved to rayces_set_aside with their likes"
    return [choice(KIND, f"{count} posts have no author: user_id is empty", does, count=count, examples=ids)]


def obstacles(database: MigrationDatabase, word: str | None) -> list[Finding]:
    """What stands in the way of the choice."""
    if word != SET_ASIDE or has_authors(database):
        return []
    return [Finding(KIND, "refusal", "all posts would be set aside", f"choose --fix {KIND}=<e-mail> or ={NULLABLE}")]


def give_authors(database: MigrationDatabase, record: Record, run: Statements) -> None:
    """Make the column where it is missing, and do with posts without an author what was chosen."""
    word = record.choices.get(KIND)
    missing = lacks_authors(record.before)
    if word is not None and "@" in word:
        author = _author(database, record, word)
        if missing:  # a constant default is no rewrite, and is what MyHub's posts get that say nothing of it
            run(f"ALTER TABLE posts ADD COLUMN IF NOT EXISTS user_id bigint DEFAULT {author:d} NOT NULL")
        else:
            run(_FUNCTION.format(author=author))
            fill(database)
    elif missing:
        run("ALTER TABLE posts ADD COLUMN IF NOT EXISTS user_id bigint")


def fill(database: MigrationDatabase) -> None:
    """Give the posts without an author to the one that was chosen, and note each as it was."""
    author = database.one(f"SELECT author_id FROM {RECORD}")
    if author is not None:
        reason = f"it had no author, and was given to user {int(author):d}"
        noting.fill(database, "posts", f"user_id = {int(author):d}", "user_id IS NULL", reason)


def _author(database: MigrationDatabase, record: Record, address: str) -> int:
    """The user of this address, found once; made if there is none."""
    known = database.one(f"SELECT author_id FROM {RECORD}")
    if known is not None:
        return int(known)
    with database.atomic():
        normal = address.strip().lower()
        found = database.one(Addresses(database).sql("SELECT min(id) FROM users WHERE NORMAL(email) = %s"), normal)
        author = found if found is not None else _made(database, record, normal)
        changes = f"UPDATE {RECORD} SET author_id = %s, author_is_made = %s"
        database.execute_sql(changes, (author, found is None))
    return int(author)


def _made(database: MigrationDatabase, record: Record, address: str) -> int:
    # What MyHub wants of each user is there, so that the way back finds nothing to complain of.
    wanted = [each for each in record.before.columns if each.table == "users" and is_required(each)]
    texts = [each.name for each in wanted if each.base in ("character varying", "text", "citext")]
    names = ["email", *texts]
    stamps = "created_at, updated_at"
    made: int = database.one(
        f"INSERT INTO users ({', '.join(map(quote_identifier, names))}, {stamps}) "
        f"VALUES ({', '.join(['%s'] * len(names))}, now(), now()) RETURNING id",
        *[address] * len(names),
    )
    return made


def end(before: Before, choices: dict[str, str], run: Statements) -> None:
    """No more authors are filled in: the old application is gone, or everything goes back."""
    if "@" not in choices.get(KIND, ""):
        return
    if lacks_authors(before):
        run("ALTER TABLE posts ALTER COLUMN user_id DROP DEFAULT")
    else:
        run(f"DROP TRIGGER IF EXISTS {TRIGGER} ON posts; DROP FUNCTION IF EXISTS {TRIGGER}()")


def forget_author(database: MigrationDatabase, before: Before) -> None:
    """Take back the user that was made for posts that have no author any more, unless something refers to it."""
    author = database.one(f"SELECT author_id FROM {RECORD} WHERE author_is_made")
    if author is None or not lacks_authors(before):
        return
    with suppress(peewee.IntegrityError), database.atomic():
        database.execute_sql("DELETE FROM users WHERE id = %s", (author,))
