"""MyHub's posts, known by author, moment and content, and their likes."""

from __future__ import annotations

from typing import Final

from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.record import Record, fault, missing, no_user, quoted, user
from rayces_core.importing.words import named
from rayces_core.models.social import Like, Post

AUTHOR: Final = Column(
    "author",
    values.email,
    required=True,
    example="ana.paz@example.org",
    about="The e-mail address of who wrote the post.",
)
POSTS: Final = Record(
    name="posts",
    model=Post,
    columns=named(
        "posts",
        (
            AUTHOR,
            Column("content", values.text, required=True, example="Hola"),
            Column("created_at", values.moment, required=True, example="03/03/2026 14:00"),
        ),
    ),
    types={"author": "varchar", "content": "varchar", "created_at": "timestamptz"},
    fields={"content": Post.content, "created_at": Post.created_at},
    resolved={"user_id": "bigint", "content": "varchar", "created_at": "timestamptz"},
    resolving=f"SELECT s.row, s.faulty, u.id, s.content, s.created_at FROM staged AS s {user('author', 'u')}",
    matching="t.user_id = r.user_id AND t.created_at = r.created_at AND t.content = r.content",
    same_key="r.user_id, r.created_at, r.content",
    key="author, created_at, content",
    checks=(no_user("author", "user_id"),),
    inserting="""
        INSERT INTO posts (organization_id, user_id, content, created_at, updated_at)
        SELECT %(tenant)s, r.user_id, r.content, r.created_at, %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)

SEVERAL: Final = fault(
    "post_content",
    "s.post_content",
    "r.posts || ' posts of this author are of this moment'",
    quoted("say the content of the one that is meant"),
    "FROM resolved AS r JOIN staged AS s ON s.row = r.row WHERE r.posts > 1",
)
LIKES: Final = Record(
    name="likes",
    model=Like,
    columns=named(
        "likes",
        (
            Column("user", values.email, required=True, example="leo.paz@example.org"),
            AUTHOR,
            Column("post_created_at", values.moment, required=True, example="03/03/2026 14:00"),
            Column("post_content", values.text, about="Needed where a moment has several."),
        ),
    ),
    types={"user": "varchar", "author": "varchar", "post_created_at": "timestamptz", "post_content": "varchar"},
    resolved={"user_id": "bigint", "post_id": "bigint", "author_id": "bigint", "posts": "bigint"},
    resolving=f"""
        SELECT s.row, s.faulty, min(u.id), CASE WHEN count(p.id) = 1 THEN min(p.id) END, min(writer.id), count(p.id)
          FROM staged AS s {user("user", "u")} {user("author", "writer")}
          LEFT JOIN posts AS p ON p.organization_id = %(tenant)s AND p.user_id = writer.id
           AND p.created_at = s.post_created_at AND (s.post_content IS NULL OR p.content = s.post_content)
         GROUP BY s.row, s.faulty""",
    matching="t.user_id = r.user_id AND t.post_id = r.post_id",
    same_key="r.user_id, r.post_id",
    key="user, author, post_created_at, post_content",
    checks=(
        no_user("user", "user_id"),
        no_user("author", "author_id"),
        SEVERAL,
        missing("post_created_at", "post_id", "no post of this author is of this moment", "import the posts first"),
    ),
    inserting="""
        INSERT INTO likes (organization_id, user_id, post_id, created_at, updated_at)
        SELECT %(tenant)s, r.user_id, r.post_id, %(now)s, %(now)s
          FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
    """,
)
