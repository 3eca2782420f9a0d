"""A row that row-level security refuses: it names no organization at all, or another one; grants say the rest."""

import io

import peewee
import psycopg2
import pytest
from playhouse.dataset import DataSet

from rayces_core import (
    CheckFailedError,
    CrossTenantError,
    FeatureNotSupportedError,
    OrganizationMissingError,
    PermissionDeniedError,
)
from rayces_core.database.binding import current
from rayces_core.database.constraints import translate
from tests.walking import walked

UNNAMED = {
    "raw": "INSERT INTO posts (user_id, content) VALUES (1, 'x')",
    "quoted, with its schema": """INSERT INTO "public"."posts" ("user_id", "content") VALUES (1, 'x')""",
    "lower case over lines": "insert\n  into posts as p\n  (user_id,\n   content)\nvalues (1, 'x')",
    "from a query": "INSERT INTO posts (user_id, content) SELECT 1, 'organization_id'",
    "in a CTE": "WITH made AS (INSERT INTO posts (user_id, content) VALUES (1, 'x') RETURNING id) SELECT * FROM made",
    "on conflict": "INSERT INTO posts (user_id, content) VALUES (1, 'organization_id') ON CONFLICT DO NOTHING",
}
NAMED = {
    "another": "INSERT INTO posts (organization_id, user_id, content) VALUES ({b}, 1, 'x')",
    "null": "INSERT INTO posts (organization_id, user_id, content) VALUES (NULL, 1, 'x')",
    "no list of columns": "INSERT INTO posts SELECT (nothing).* FROM (SELECT NULL::posts AS nothing) AS n",
    "one of two": "WITH a AS (INSERT INTO posts (user_id, content) VALUES (1, 'x') RETURNING 1) "
    "INSERT INTO posts (organization_id, user_id, content) VALUES ({b}, 1, 'x')",
}


@walked("case", UNNAMED)
def test_a_row_that_names_no_organization_is_told_so(db, a, case):
    with db.tenant(a), pytest.raises(OrganizationMissingError, match="names no organization; insert through") as caught:
        db.execute_sql(UNNAMED[case])
    assert (caught.value.table, caught.value.bound, caught.value.found) == ("posts", a.id, None)
    assert (caught.value.sqlstate, type(caught.value.orig)) == ("42501", psycopg2.errors.InsufficientPrivilege)


@walked("case", NAMED)
def test_where_that_is_not_certain_both_are_said(db, a, b, case):
    with db.tenant(a), pytest.raises(CrossTenantError, match="than the bound one, or names none") as caught:
        db.execute_sql(NAMED[case].format(b=b.id))
    assert type(caught.value) is CrossTenantError
    assert (caught.value.table, caught.value.bound) == ("posts", a.id)


def test_a_copy_is_not_supported_with_row_level_security(db, a):
    with db.tenant(a), pytest.raises(FeatureNotSupportedError, match="Use INSERT statements"), db.atomic():
        current().engine.copy("COPY posts (user_id, content) FROM STDIN", io.BytesIO(b"1\tx\n"))


def test_a_through_model_of_peewees_own_is_told_so(own_db):
    with psycopg2.connect(own_db.url) as connection:
        connection.cursor().execute(
            "CREATE TABLE notes_tags (organization_id bigint NOT NULL, note_id bigint, tag_id bigint);"
            "ALTER TABLE notes_tags ENABLE ROW LEVEL SECURITY; ALTER TABLE notes_tags FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY by_tenant ON notes_tags TO rayces_app USING (organization_id = "
            "nullif(current_setting('rayces.organization_id', true), '')::bigint);"
            "GRANT ALL ON notes_tags TO rayces_app"
        )
    organization = own_db.create_organization("North", subdomain="north")

    class Through(peewee.Model):
        note_id, tag_id = peewee.BigIntegerField(), peewee.BigIntegerField()

        class Meta:
            table_name, primary_key, database = "notes_tags", False, own_db.engine

    with own_db.tenant(organization), pytest.raises(OrganizationMissingError) as caught:
        Through.insert_many([{"note_id": 1, "tag_id": 2}]).execute()
    assert caught.value.table == "notes_tags"


@pytest.mark.slow
def test_a_dataset_of_peewees_is_told_so(db, a):
    with db.tenant(a), pytest.raises(OrganizationMissingError, match="the row of posts names no organization"):
        DataSet(db.engine)["posts"].insert(user_id=1, content="x")


def test_privileged_work_that_names_none_is_told_so(db):
    with db.privileged(reason="test"), pytest.raises(CheckFailedError, match="names no organization") as caught:
        db.execute_sql(UNNAMED["raw"])
    assert (caught.value.fields, caught.value.table) == (("organization_id",), "posts")


def test_a_policy_with_a_name_in_the_message_still_gives_the_table(db, a):
    with psycopg2.connect(db.url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE kept (organization_id int, t text); ALTER TABLE kept ENABLE ROW LEVEL SECURITY;"
            "ALTER TABLE kept FORCE ROW LEVEL SECURITY; CREATE POLICY open ON kept USING (true);"
            "CREATE POLICY shut ON kept AS RESTRICTIVE USING (organization_id = 1); GRANT ALL ON kept TO rayces_app;"
            "SET LOCAL ROLE rayces_app"
        )
        with pytest.raises(psycopg2.Error) as caught:
            cursor.execute("INSERT INTO kept (t) VALUES ('x')")
        assert '"shut"' in str(caught.value)
        error = translate(caught.value)
        connection.rollback()
    assert (type(error), error.table) == (OrganizationMissingError, "kept")


@walked("sql", ["DELETE FROM state_transitions", "DROP TABLE posts", "CREATE TABLE mine (id int)"])
def test_what_the_grants_do_not_allow_is_another_error(db, a, sql):
    with db.tenant(a), pytest.raises(PermissionDeniedError, match="by design") as caught:
        db.execute_sql(sql)
    assert caught.value.code == "permission_denied"
