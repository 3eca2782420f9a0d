"""MyHub as its Rails 7.1 application made it: users, posts and likes.

Types, names and indexes are those of Active Record, because live databases are taken over at this point and have to
end up equal to fresh ones.
"""

from rayces_core.migrations import MigrationDatabase, Migrator


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        CREATE TABLE users (
            id bigserial PRIMARY KEY,
            email character varying,
            uid character varying,
            provider character varying,
            created_at timestamp(6) without time zone NOT NULL,
            updated_at timestamp(6) without time zone NOT NULL
        )
    """)
    migrator.sql("""
        CREATE TABLE posts (
            id bigserial PRIMARY KEY,
            user_id bigint NOT NULL,
            content text,
            created_at timestamp(6) without time zone NOT NULL,
            updated_at timestamp(6) without time zone NOT NULL,
            CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id) REFERENCES users (id)
        )
    """)
    migrator.sql("CREATE INDEX index_posts_on_user_id ON posts (user_id)")
    migrator.sql("""
        CREATE TABLE likes (
            id bigserial PRIMARY KEY,
            user_id bigint NOT NULL,
            post_id bigint NOT NULL,
            created_at timestamp(6) without time zone NOT NULL,
            updated_at timestamp(6) without time zone NOT NULL,
            CONSTRAINT fk_rails_1e09b5dabf FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT fk_rails_87a8aac469 FOREIGN KEY (post_id) REFERENCES posts (id)
        )
    """)
    migrator.sql("CREATE INDEX index_likes_on_user_id ON likes (user_id)")
    migrator.sql("CREATE INDEX index_likes_on_post_id ON likes (post_id)")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("DROP TABLE likes, posts, users")
