"""Every way to read rows along with those they name; paths as in read_paths.py."""

from __future__ import annotations

from typing import Any

import peewee
from peewee import JOIN, PREFETCH_TYPE, Load, Value

from rayces_core import Appointment, Like, Post, Professional, Student, User
from tests.tenancy.read_paths import path, texts


def contacts(rows: Any) -> list[str]:
    return [row.primary_contact.first_name for row in rows]


def authors(rows: Any) -> list[str]:
    return [row.user.first_name for row in rows]


def written(rows: Any) -> list[str]:
    return [post.content for row in rows for post in row.posts]


def liked(rows: Any) -> list[str]:
    return [like.post.content for row in rows for post in row.posts for like in post.likes]


path("foreign key", lambda _: Student.select(), contacts)
path("foreign key to a foreign key", lambda _: Appointment.select(), lambda q: [x.professional.title for x in q])
path("back-reference", lambda _: User.select(), written)
path("back-reference to a foreign key", lambda _: Professional.select(), lambda q: texts(q[0].appointments))
path("eager join", lambda _: Post.select(Post, User).join(User), authors)
path("eager left join", lambda _: Post.select(Post, User).join(User, JOIN.LEFT_OUTER), authors)
path("eager join as dicts", lambda _: Post.select(Post.content, User.first_name).join(User).dicts())
path("eager join as objects", lambda _: Post.select(Post.content, User.email).join(User).objects())
path("prefetch", lambda _: (User.select(), Post.select()), lambda q: written(peewee.prefetch(*q)))
path(
    "prefetch by join",
    lambda _: (User.select(), Post.select()),
    lambda q: written(peewee.prefetch(*q, prefetch_type=PREFETCH_TYPE.JOIN)),
)
path("prefetch of models", lambda _: User.select(), lambda q: liked(q.prefetch(Post, Like)))
path("prefetch of a foreign key", lambda _: Post.select(), lambda q: authors(q.prefetch(User)))
path("with_related", lambda _: User.select().with_related(User.posts), written)
path(
    "with_related by join", lambda _: User.select().with_related(Load(User.posts, strategy=PREFETCH_TYPE.JOIN)), written
)
path(
    "with_related by keys",
    lambda _: User.select().with_related(Load(User.posts, strategy=PREFETCH_TYPE.MATERIALIZE)),
    written,
)
path("with_related, few per row", lambda _: User.select().with_related(Load(User.posts, per_parent=1)), written)
path("with_related, two deep", lambda _: User.select().with_related(Load(User.posts).then(Load(Post.likes))), liked)
path("with_related foreign key", lambda _: Post.select().with_related(Post.user), authors)
path(
    "with_related of a query",
    lambda _: User.select().with_related(Load(User.posts, Post.select().order_by(Value(1)))),
    written,
)
