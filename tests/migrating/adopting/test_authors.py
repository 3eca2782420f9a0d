"""Posts without an author: MyHub goes on writing them, and they are whose was chosen."""

from __future__ import annotations

from typing import Any

import pytest

from rayces_core import Database, Post, User
from rayces_core.cli.migrating.checking import of_models
from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from tests.sizes import exhaustive

from .conftest import MyHub
from .myhub import NEW

NO_COLUMN = "ALTER TABLE posts DROP user_id"
LOOSE = "ALTER TABLE posts ALTER user_id DROP NOT NULL; UPDATE posts SET user_id = NULL WHERE id IN (4, 9)"
WRITTEN = f"INSERT INTO posts (hash_id, content, created_at, updated_at) VALUES ('new', 'x', {NEW}) RETURNING id"
# Rails, started anew, names every column.
NAMED = WRITTEN.replace("(hash_id,", "(user_id, hash_id,").replace("('new',", "(NULL, 'new',")
DEFAULT = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'posts'::regclass"


def authors(myhub: MyHub) -> dict[Any, int]:
    return dict(myhub.sql("SELECT user_id, count(*) FROM posts GROUP BY 1"))


@pytest.mark.exhaustive  # `make test` has posts of which some have an author, below
@pytest.mark.parametrize("address", ["nobody@example.org", " USER3@example.com"])
def test_all_posts_of_a_myhub_without_authors_and_those_it_goes_on_writing_are_one_users(
    myhub: MyHub, address: str
) -> None:
    myhub.sql(NO_COLUMN)
    finding = next(each for each in myhub.adoption().report().open if each.kind == "missing-author")
    assert "16 posts have no author" in finding.what
    myhub.adoption(choices={"missing-author": address.strip()}).run()
    author = 9 if "nobody" in address else 3
    assert authors(myhub) == {author: 16}
    assert myhub.application().one(WRITTEN)
    with Database.connect(myhub.url) as database, database.tenant("north"):
        assert {post.user.email for post in Post.select()} == {address.strip().lower()}
    assert authors(myhub) == {author: 17}
    myhub.again().finish()
    assert not [default for (default,) in myhub.sql(DEFAULT) if default == str(author)]


@pytest.mark.slow
def test_posts_that_lack_their_author_are_given_one_and_so_are_those_written_until_the_end(myhub: MyHub) -> None:
    myhub.sql(LOOSE)
    before = authors(myhub)
    report = myhub.adoption(choices={"nullable-references": "not-null"}).report()
    assert [(each.kind, each.examples) for each in report.open] == [("missing-author", (4, 9))]
    choices = {"missing-author": "user2@example.com", "nullable-references": "not-null"}
    myhub.adoption(choices=choices).run()
    assert authors(myhub) == {user: count for user, count in (before | {2: before[2] + 2}).items() if user}
    old = myhub.application()
    assert [old.ask(f"SELECT user_id FROM posts WHERE id = {old.one(sql)}") for sql in (WRITTEN, NAMED)] == [[(2,)]] * 2
    myhub.again().finish()
    assert myhub.sql("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'rayces%'") == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", [NO_COLUMN, *exhaustive(LOOSE)], ids=["no column", "empty"])
def test_posts_may_stay_without_an_author_and_the_library_reads_writes_and_counts_them(
    myhub: MyHub, shape: str
) -> None:
    myhub.sql(shape)
    myhub.adoption(choices={"missing-author": "nullable"}).run()
    assert myhub.application().one(NAMED)
    assert authors(myhub)[None] == (3 if shape == LOOSE else 17)
    with Database.connect(myhub.url) as database, database.tenant("north"):
        post = Post.select().where(Post.user.is_null()).order_by(Post.id).first()
        assert post.user_id is None
        assert Post.select().count() == 17
        with pytest.raises(User.DoesNotExist):
            assert post.user
        post.user = User.get(User.email == "user3@example.com")
        post.save()
        assert Post.get_by_id(post.id).user.email == "user3@example.com"
    for end in (lambda: None, myhub.again().finish):
        end()
        assert {each.kind for each in of_models(Runner(myhub.url))} == {"extra"}
    assert myhub.sql("SELECT attnotnull FROM pg_attribute WHERE attrelid = 'posts'::regclass AND attname = 'user_id'") \
        == [(False,)]  # fmt: skip


@pytest.mark.exhaustive  # `make test` sets aside in test_rows.py
def test_posts_without_an_author_are_set_aside_with_their_likes_where_that_was_chosen(myhub: MyHub) -> None:
    myhub.sql(LOOSE)
    likes = myhub.sql("SELECT count(*) FROM likes WHERE post_id IN (4, 9)")[0][0]
    choices = {"missing-author": "set-aside", "nullable-references": "not-null"}
    assert myhub.adoption(choices=choices).run().set_aside == {"posts": 2, "likes": likes}
    assert None not in authors(myhub)


@pytest.mark.slow
def test_not_all_posts_are_set_aside(myhub: MyHub) -> None:
    myhub.sql(NO_COLUMN)
    with pytest.raises(MigrationError, match="all posts would be set aside"):
        myhub.adoption(choices={"missing-author": "set-aside"}).run()


@pytest.mark.parametrize("word", ["somebody", "a b@c", "@", ""])
def test_an_author_is_an_address_or_a_word_that_there_is(myhub: MyHub, word: str) -> None:
    with pytest.raises(MigrationError, match="missing-author=<e-mail>"):
        myhub.adoption(choices={"missing-author": word})
