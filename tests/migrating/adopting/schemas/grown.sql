-- An application that has grown since Rails 4: renamed tables whose keys and sequences kept their names, times that may
-- be empty, likes without any, posts of users who are gone, an index on the day, and a login by has_secure_password.
CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying NOT NULL PRIMARY KEY, value character varying, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE people (
    id serial PRIMARY KEY,
    username character varying NOT NULL,
    email character varying NOT NULL,
    password_digest character varying NOT NULL,
    session_token character varying NOT NULL,
    settings jsonb NOT NULL,
    private boolean NOT NULL,
    karma integer NOT NULL,
    created_at timestamp,
    updated_at timestamp
);
ALTER TABLE people RENAME TO users;
CREATE UNIQUE INDEX index_users_on_username ON users (username);
CREATE UNIQUE INDEX index_users_on_session_token ON users (session_token);
CREATE INDEX index_users_on_lower_email ON users (lower(email));
CREATE TABLE articles (
    id bigserial PRIMARY KEY,
    user_id integer REFERENCES users ON DELETE SET NULL,
    title character varying(120) NOT NULL,
    content character varying(500),
    created_at timestamp(6) DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_at timestamp(6) NOT NULL CHECK (updated_at >= created_at)
);
ALTER TABLE articles RENAME TO posts;
CREATE INDEX index_posts_on_user_id ON posts (user_id, created_at DESC);
CREATE INDEX index_posts_recent ON posts (created_at) WHERE title IS NOT NULL;
CREATE TABLE likes (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES users, post_id bigint NOT NULL REFERENCES posts, UNIQUE (user_id, post_id));
CREATE SEQUENCE shared_numbers;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.karma := coalesce(NEW.karma, 0); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO users (username, email, password_digest, session_token, settings, private, karma, created_at, updated_at)
  SELECT 'n' || g, 'n' || g || '@example.com', 'x', 's' || g, '{}', false, 0, CASE WHEN g % 3 > 0 THEN timestamp '2015-01-01' END, CASE WHEN g % 2 > 0 THEN timestamp '2015-01-02' END FROM generate_series(1, 12) g;
INSERT INTO posts (user_id, title, content, created_at, updated_at) SELECT CASE WHEN g % 4 > 0 THEN 1 + g % 12 END, 't', 'post ' || g, '2020-01-01', '2020-01-01' FROM generate_series(1, 20) g;
INSERT INTO likes (user_id, post_id) SELECT 1 + g % 12, g FROM generate_series(1, 20) g;
