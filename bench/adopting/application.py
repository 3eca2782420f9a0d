"""The old application: what its users do, in the statements that Active Record writes, none of which knows a tenant.

A worker alone likes, edits and deletes the posts that are its share, so it knows what each answer has to be: a row that
adoption hides for a moment is found out as surely as one it loses.
"""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime

from bench.adopting.diary import Diary, Row
from bench.adopting.myhub import Size
from bench.adopting.session import FailedError, Session

FEED = 20
WORDS = ("Ana", "luz", "río", "100%", "casa", "sol")

# What is done how often.
WEIGHTS = {
    "feed": 22,
    "show_post": 18,
    "posts_of_a_user": 8,
    "count_likes": 12,
    "like": 16,
    "unlike": 8,
    "write_post": 6,
    "edit_post": 2,
    "delete_post": 2,
    "sign_up": 2,
    "sign_in": 2,
    "update_profile": 4,
}


class Worker:
    """One process of the old application with its share of the users and posts: every `workers`th, from `number` on."""

    def __init__(self, session: Session, size: Size, number: int, workers: int, seed: int) -> None:
        self.session, self.size, self.diary = session, size, Diary()
        self._number, self._workers = number, workers
        self._random = random.Random(f"{seed}-{number}")
        self._made = 0
        self._users: list[int] = []  # signed up in this run
        self._posts: list[int] = []  # written in this run, not deleted
        self._gone: set[int] = set()  # filled posts that were deleted
        self._likes: dict[tuple[int, int], int] = {}  # (post, user) -> id, of those given in this run
        self._more: dict[int, int] = {}  # post -> likes given and taken in this run
        self._taken: set[int] = set()  # filled likes that were taken back
        self._actions = [getattr(self, name) for name in WEIGHTS]

    def act(self) -> None:
        """Do what some user does next; a failure is recorded and the user goes away."""
        (action,) = self._random.choices(self._actions, list(WEIGHTS.values()))
        with suppress(FailedError):
            action()

    def feed(self) -> None:
        run = self.session.run
        posts = run("feed", "SELECT id, user_id FROM posts ORDER BY id DESC LIMIT %s", FEED, rows=FEED)
        authors, keys = sorted({author for _, author in posts}), [key for key, _ in posts]
        run("feed", "SELECT users.* FROM users WHERE users.id = ANY(%s)", authors, rows=len(authors))
        run("feed", "SELECT COUNT(*), post_id FROM likes WHERE likes.post_id = ANY(%s) GROUP BY post_id", keys)

    def show_post(self) -> None:
        run, post = self.session.run, self._own_post()
        find = "SELECT posts.* FROM posts WHERE posts.id = %s LIMIT 1"
        ((_id, _hash_id, author, *_),) = run("show post", find, post, rows=1)
        likes = "SELECT likes.* FROM likes WHERE likes.post_id = %s"
        run("show post", likes, post, rows=self._likes_of(post))
        run("show post", "SELECT users.* FROM users WHERE users.id = %s LIMIT 1", author, rows=1)

    def posts_of_a_user(self) -> None:
        sql = "SELECT posts.* FROM posts WHERE posts.user_id = %s ORDER BY posts.created_at DESC LIMIT 10"
        self.session.run("posts of a user", sql, self._any_user())

    def count_likes(self) -> None:
        post = self._own_post()
        ((found,),) = self.session.run("count likes", "SELECT COUNT(*) FROM likes WHERE likes.post_id = %s", post)
        if found != self._likes_of(post):
            self.session.wrong("count likes", f"post {post} has {found} likes instead of {self._likes_of(post)}")

    def like(self) -> None:
        post, user = self._own_post(), self._any_user()
        one = "SELECT 1 AS one FROM likes WHERE likes.user_id = %s AND likes.post_id = %s LIMIT 1"
        if self.session.run("like", one, user, post):
            return
        row = {"user_id": user, "post_id": post} | _times()
        self._likes[post, user] = self._insert("like", "likes", row)
        self._more[post] = self._more.get(post, 0) + 1

    def unlike(self) -> None:
        post, user, key = self._some_like()
        if key in self._taken or self._is_gone(post):
            return
        find = "SELECT likes.* FROM likes WHERE likes.user_id = %s AND likes.post_id = %s LIMIT 1"
        self.session.run("unlike", find, user, post, rows=1)
        with self.session.transaction():
            self.session.run("unlike", "DELETE FROM likes WHERE likes.id = %s", key, rows=1)
        self.diary.delete("likes", key)
        self._more[post] = self._more.get(post, 0) - 1
        self._likes.pop((post, user), None)
        self._taken.add(key)

    def write_post(self) -> None:
        text = self._text()
        facts = {"hash_id": f"n{self._unique()}", "user_id": self._any_user(), "content": text, "source": "web"}
        row = facts | {"metadata": f'{{"words": {len(text)}}}', "filename": None} | _times()
        self._posts.append(self._insert("write post", "posts", row))

    def edit_post(self) -> None:
        post = self._own_post()
        find = "SELECT posts.* FROM posts WHERE posts.id = %s LIMIT 1"
        self.session.run("edit post", find, post, rows=1)
        self._update("edit post", "posts", post, {"content": self._text(), "updated_at": _now()})

    def delete_post(self) -> None:
        post, run = self._own_post(), self.session.run
        run("delete post", "SELECT posts.* FROM posts WHERE posts.id = %s LIMIT 1", post, rows=1)
        with self.session.transaction():
            found = "SELECT likes.id FROM likes WHERE likes.post_id = %s"
            likes = [key for (key,) in run("delete post", found, post, rows=self._likes_of(post))]
            for key in likes:
                run("delete post", "DELETE FROM likes WHERE likes.id = %s", key, rows=1)
            run("delete post", "DELETE FROM posts WHERE posts.id = %s", post, rows=1)
        self.diary.delete("likes", *likes)
        self.diary.delete("posts", post)
        self._forget(post)

    def sign_up(self) -> None:
        name = self._unique()
        facts = {"name": f"Luz {name}", "email": f"Luz.{name}@Example.org ", "image": None, "uid": f"u-{name}"}
        row = facts | {"provider": "google_oauth2", "username": f"luz{name}"} | _times()
        find = "SELECT users.* FROM users WHERE users.provider = %s AND users.uid = %s LIMIT 1"
        self.session.run("sign up", find, row["provider"], row["uid"], rows=0)
        self._users.append(self._insert("sign up", "users", row))

    def sign_in(self) -> None:
        number = self._random.randint(1, self.size.users)
        find = "SELECT users.* FROM users WHERE users.provider = %s AND users.uid = %s LIMIT 1"
        self.session.run("sign in", find, "google_oauth2", f"g-{number}", rows=1)

    def update_profile(self) -> None:
        user, name = self._own_user(), self._unique()
        self.session.run("update profile", "SELECT users.* FROM users WHERE users.id = %s LIMIT 1", user, rows=1)
        row = {"name": f"Eva {name}", "email": f"Eva.{name}@Example.ORG", "updated_at": _now()}
        self._update("update profile", "users", user, row)

    def _insert(self, kind: str, table: str, row: Row) -> int:
        places = ", ".join(["%s"] * len(row))
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places}) RETURNING id"
        with self.session.transaction():
            ((key,),) = self.session.run(kind, sql, *row.values(), rows=1)
        self.diary.write(table, key, row)
        return int(key)

    def _update(self, kind: str, table: str, key: int, row: Row) -> None:
        assignments = ", ".join(f"{name} = %s" for name in row)
        sql = f"UPDATE {table} SET {assignments} WHERE {table}.id = %s"
        with self.session.transaction():
            self.session.run(kind, sql, *row.values(), key, rows=1)
        self.diary.change(table, key, row)

    def _any_user(self) -> int:
        return self._random.randint(1, self.size.users)

    def _own_user(self) -> int:
        if self._users and self._random.random() < 0.2:
            return self._random.choice(self._users)
        return self._share_of(self.size.users)

    def _own_post(self) -> int:
        """A post of this worker's share that is there."""
        if self._posts and self._random.random() < 0.3:
            return self._random.choice(self._posts)
        while self._is_gone(post := self._share_of(self.size.posts)):
            pass
        return post

    def _share_of(self, rows: int) -> int:
        return self._random.randrange(self._number, rows, self._workers) + 1

    def _is_gone(self, post: int) -> bool:
        return post in self._gone

    def _some_like(self) -> tuple[int, int, int]:
        """Post, user and id of a like given in this run, or of a filled one that may be gone."""
        if self._likes and self._random.random() < 0.5:
            (post, user), key = self._random.choice(list(self._likes.items())[-50:])
            return post, user, key
        post = self._share_of(self.size.posts)
        turn = self._random.randrange(self.size.likes_of(post))
        key, user = self.size.like(post, turn)
        return post, user, key

    def _likes_of(self, post: int) -> int:
        filled = self.size.likes_of(post) if post <= self.size.posts else 0
        return filled + self._more.get(post, 0)

    def _forget(self, post: int) -> None:
        if post <= self.size.posts:
            self._gone.add(post)
        else:
            self._posts.remove(post)
        for post_and_user in [each for each in self._likes if each[0] == post]:
            del self._likes[post_and_user]

    def _unique(self) -> str:
        self._made += 1
        return f"{self._number}x{self._made}"

    def _text(self) -> str:
        return " ".join(self._random.choices(WORDS, k=self._random.randint(3, 60)))


def _now() -> str:
    """Now as Active Record writes it: UTC, and no word of it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _times() -> Row:
    return dict.fromkeys(("created_at", "updated_at"), _now())
