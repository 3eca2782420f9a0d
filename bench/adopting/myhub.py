"""A MyHub database as Rails made it, filled by set-based SQL.

Who wrote a filled post and who likes it follows from formulas, so that the load knows what it has to find at any time.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass

import psycopg2

TABLES = ("users", "posts", "likes")

SCHEMA = """
CREATE TABLE users (
    id bigserial PRIMARY KEY,
    name character varying,
    email character varying,
    image character varying,
    uid character varying,
    provider character varying,
    username character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE posts (
    id bigserial PRIMARY KEY,
    hash_id character varying,
    user_id bigint NOT NULL,
    content text,
    source character varying,
    metadata jsonb DEFAULT '{}' NOT NULL,
    filename character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE likes (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL,
    post_id bigint NOT NULL,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE schema_migrations (version character varying PRIMARY KEY);
CREATE TABLE ar_internal_metadata (
    key character varying PRIMARY KEY,
    value character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
INSERT INTO schema_migrations VALUES ('20240102030405'), ('20240203040506'), ('20240304050607');
INSERT INTO ar_internal_metadata VALUES ('environment', 'production', '2024-01-02 03:04:05', '2024-01-02 03:04:05');
"""

ROWS = """
INSERT INTO users (name, email, image, uid, provider, username, created_at, updated_at)
SELECT 'Ana Paz ' || n, 'Ana.Paz' || n || '@Example.org', 'https://img.example.org/' || n || '.png', 'g-' || n,
       'google_oauth2', 'ana' || n, began, began + interval '1 hour'
  FROM (SELECT n, timestamp '2024-01-01' + n * interval '60.000001 s' AS began
          FROM generate_series(1, %(users)s) AS n) AS numbers;
INSERT INTO posts (hash_id, user_id, content, source, metadata, filename, created_at, updated_at)
SELECT 'h' || n, n * 7 %% %(users)s + 1, 'What post ' || n || ' has to say, at some length. ' || repeat('Words. ', 20),
       CASE n %% 3 WHEN 0 THEN 'web' ELSE 'mobile' END, jsonb_build_object('words', n %% 50),
       CASE n %% 10 WHEN 0 THEN n || '.jpg' END, began, began
  FROM (SELECT n, timestamp '2024-06-01' + n * interval '20.000001 s' AS began
          FROM generate_series(1, %(posts)s) AS n) AS numbers;
INSERT INTO likes (user_id, post_id, created_at, updated_at)
SELECT (n %% %(posts)s * 13 + n / %(posts)s * 17) %% %(users)s + 1, n %% %(posts)s + 1, began, began
  FROM (SELECT n, timestamp '2025-01-01' + n * interval '8.000001 s' AS began
          FROM generate_series(0, %(likes)s - 1) AS n) AS numbers;
"""

KEYS = """
CREATE INDEX index_users_on_provider_and_uid ON users (provider, uid);
CREATE UNIQUE INDEX index_posts_on_hash_id ON posts (hash_id);
CREATE INDEX index_posts_on_user_id ON posts (user_id);
CREATE INDEX index_likes_on_user_id ON likes (user_id);
CREATE INDEX index_likes_on_post_id ON likes (post_id);
ALTER TABLE posts ADD CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_1e09b5dabf FOREIGN KEY (user_id) REFERENCES users (id),
                  ADD CONSTRAINT fk_rails_87a8aac469 FOREIGN KEY (post_id) REFERENCES posts (id);
"""


@dataclass(frozen=True)
class Size:
    """How many rows are filled in, with ids from 1, and which row belongs to which."""

    users: int
    posts: int
    likes: int

    def smaller(self, divisor: int) -> Size:
        """The same proportions, with some rows of each at least."""
        return Size(*(max(100, rows // divisor) for rows in (self.users, self.posts, self.likes)))

    def likes_of(self, post: int) -> int:
        """How many likes the post was filled with."""
        return self.likes // self.posts + (post <= self.likes % self.posts)

    def like(self, post: int, turn: int) -> tuple[int, int]:
        """The id of the like that the post was given in its turn, counted from 0, and the user who gave it."""
        return turn * self.posts + post, ((post - 1) * 13 + turn * 17) % self.users + 1


def fill(url: str, size: Size) -> None:
    """Make the tables and rows, as the login of `url`, and leave them as a database that has run for a while."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SET timezone TO 'UTC'; SET synchronous_commit TO off")
        cursor.execute(SCHEMA)
        cursor.execute(ROWS, asdict(size))
        cursor.execute(KEYS)
        cursor.execute("VACUUM (FREEZE, ANALYZE) users, posts, likes")
