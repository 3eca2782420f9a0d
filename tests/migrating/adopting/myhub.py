"""A MyHub as its Rails application made it, dirty rows to put into it, and the statements it sends."""

from __future__ import annotations

from typing import Any

TABLES = ("users", "posts", "likes")
STAMPS = "created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL"
SCHEMA = f"""
CREATE TABLE schema_migrations (version character varying PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying PRIMARY KEY, value character varying, {STAMPS});
CREATE TABLE users (id bigserial PRIMARY KEY, name character varying, email character varying, image character varying,
    uid character varying, provider character varying, username character varying, {STAMPS});
CREATE TABLE posts (id bigserial PRIMARY KEY, hash_id character varying, user_id bigint NOT NULL, content text,
    source character varying, metadata jsonb DEFAULT '{{}}', filename character varying, {STAMPS},
    CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id) REFERENCES users (id));
CREATE TABLE likes (id bigserial PRIMARY KEY, user_id bigint NOT NULL, post_id bigint NOT NULL, {STAMPS},
    CONSTRAINT fk_rails_1e09b5dabf FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_rails_87a8aac469 FOREIGN KEY (post_id) REFERENCES posts (id));
CREATE INDEX index_posts_on_user_id ON posts (user_id);
CREATE INDEX index_likes_on_user_id ON likes (user_id);
CREATE INDEX index_likes_on_post_id ON likes (post_id);
CREATE INDEX index_users_on_provider_and_uid ON users (provider, uid);
INSERT INTO schema_migrations VALUES ('20240101000000'), ('20240102000000');
INSERT INTO ar_internal_metadata VALUES ('environment', 'production', '2024-01-01', '2024-01-01');
"""
ROWS = """
INSERT INTO users (name, email, image, uid, provider, username, created_at, updated_at)
SELECT 'User ' || i, 'User' || i || '@Example.com ', 'i.png', 'g' || i, 'google', 'u' || i,
       '2024-01-01 10:00:00.123456', '2024-01-01 11:00:00' FROM generate_series(1, 8) AS i;
INSERT INTO posts (hash_id, user_id, content, source, metadata, filename, created_at, updated_at)
SELECT 'h' || i, 1 + i % 8, '50% of ' || i, 'web', '{"k": 1}', 'f' || i, '2024-02-01 10:00', '2024-02-01 10:00'
  FROM generate_series(1, 16) AS i;
INSERT INTO likes (user_id, post_id, created_at, updated_at)
SELECT u, p, '2024-03-01', '2024-03-01' FROM generate_series(1, 8) AS u, generate_series(1, 16) AS p
 WHERE (u + p) % 3 = 0;
"""
# What makes a MyHub dirty → the kind of finding.
LOOSE = "ALTER TABLE {0} DROP CONSTRAINT {1}; ALTER TABLE {0} ALTER user_id DROP NOT NULL;"
DIRT = {
    "emails": "UPDATE users SET email = ' USER1@example.com' WHERE id IN (3, 5)",
    "missing-emails": "UPDATE users SET email = CASE id WHEN 4 THEN NULL ELSE '  ' END WHERE id IN (4, 6)",
    "orphans": "ALTER TABLE posts DROP CONSTRAINT fk_rails_5b5ddfd518; ALTER TABLE likes DROP CONSTRAINT "
    "fk_rails_1e09b5dabf; UPDATE posts SET user_id = 99 WHERE id = 2; UPDATE likes SET user_id = 98 WHERE id = 1",
    "repeated-likes": "INSERT INTO likes (user_id, post_id, created_at, updated_at) "
    "SELECT user_id, post_id, '2025-01-01', '2025-01-01' FROM likes WHERE id IN (1, 2, 3)",
}
FIXES = {
    "emails": "rename",
    "email-spelling": "lower-case",
    "missing-emails": "placeholder",
    "orphans": "set-aside",
    "repeated-likes": "set-aside",
    "foreign-keys": "complete",
    "nullable-references": "not-null",
    "timestamp-indexes": "rebuild",
}

LEADING = """
SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE i.indrelid = %s::regclass AND a.attname = %s AND i.indisvalid
"""

# Rails' own: its times carry no zone, and its session says UTC.
NEW = "'2025-05-05 05:05:05.5', '2025-05-05 05:05:05.5'"


class OldApplication:
    """A session of the old application, opened before the adoption, that knows nothing of organizations."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.turn = connection, 0
        self.ask("SET timezone TO 'UTC'")
        self.ask(
            "PREPARE sign_up AS INSERT INTO users (name, email, created_at, updated_at) "
            f"VALUES ($1, $2, {NEW}) RETURNING id"
        )
        self.ask("PREPARE unlike AS DELETE FROM likes WHERE user_id = $1 AND post_id = $2")

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []

    def one(self, sql: str, *values: object) -> Any:
        ((value,),) = self.ask(sql, *values)
        return value

    def works(self) -> None:
        """Do what a visitor does, and see that all of it is there."""
        self.turn += 1
        user = self.one("EXECUTE sign_up (%s, %s)", "Eva", f" Eva{self.turn}.{id(self)}@Example.com")
        post = self.one(
            f"INSERT INTO posts (user_id, content, metadata, created_at, updated_at) VALUES (%s, 'hi', '{{}}', {NEW}) "
            'RETURNING "id"',
            user,
        )
        like = f"INSERT INTO likes (user_id, post_id, created_at, updated_at) VALUES (%s, %s, {NEW}) RETURNING id"
        assert self.one(like, 1, post)
        assert self.one(like, user, post)
        self.ask("UPDATE users SET name = 'Ada', email = 'ADA' || id || '@x.org' WHERE id = %s", user)
        feed = (
            "SELECT posts.*, count(likes.id) AS n FROM posts LEFT JOIN likes ON likes.post_id = posts.id "
            "WHERE posts.user_id = %s GROUP BY posts.id ORDER BY posts.created_at DESC"
        )
        assert [row[-1] for row in self.ask(feed, user)] == [2]
        self.ask(
            f"INSERT INTO posts (id, user_id, content, created_at, updated_at) VALUES (%s, %s, 'again', {NEW}) "
            "ON CONFLICT (id) DO UPDATE SET content = excluded.content",
            post,
            user,
        )
        shown = "SELECT content, to_char(created_at, 'YYYY-MM-DD HH24:MI:SS') FROM posts WHERE id = %s"
        assert self.ask(shown, post) == [("again", "2025-05-05 05:05:05")]
        self.ask("EXECUTE unlike (%s, %s)", 1, post)
        self.ask("DELETE FROM likes WHERE post_id = %s", post)
        self.ask("DELETE FROM posts WHERE id = %s", post)
        assert self.one("SELECT count(*) FROM users WHERE name = 'Ada' AND id = %s", user) == 1
        self.ask("DELETE FROM users WHERE id = %s", user)
        assert self.one("SELECT count(*) FROM posts") == 16

    def finds_by_index(self) -> None:
        """Each lookup of the application has an index."""
        self.ask("SET enable_seqscan = off")
        for where in ("users WHERE id = 1", "posts WHERE id = 1", "likes WHERE id = 1", "posts WHERE user_id = 1",
                      "likes WHERE post_id = 1", "likes WHERE user_id = 1"):  # fmt: skip
            plan = "\n".join(line for (line,) in self.ask(f"EXPLAIN SELECT * FROM {where}"))
            table, _, column, *_ = where.split()
            assert f"{column} = 1" in plan.partition("Index Cond:")[2].partition("\n")[0], plan
            # On so small a table the planner may take one that begins with another column; on a big one it must not.
            assert self.one(LEADING, table, column), where
        self.ask("RESET enable_seqscan")


def contents(connection: Any) -> dict[str, list[Any]]:
    """Table → its rows with MyHub's columns only; e-mails in normal form, times as UTC."""
    cursor = connection.cursor()
    cursor.execute("SET timezone TO 'UTC'")
    found: dict[str, list[Any]] = {}
    chosen = {
        "users": "name, lower(btrim(email)), image, uid, provider, username",
        "posts": "hash_id, user_id, content, source, metadata, filename",
        "likes": "user_id, post_id",
    }
    for table, columns in chosen.items():
        cursor.execute(
            f"SELECT id, {columns}, created_at::timestamp(6), updated_at::timestamp(6) FROM {table} ORDER BY id"
        )
        found[table] = cursor.fetchall()
    return found
