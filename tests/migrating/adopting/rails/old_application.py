# ruff: noqa: E501 - statements as they are sent
"""The statements of the old application, as Active Record writes them, and what becomes of each."""

from __future__ import annotations

from typing import Any

import psycopg2

NOW = "'2026-11-27 12:00:00.123456'"
STAMPED = '"created_at", "updated_at"'
# What Rails 7.1 needs in config/database.yml once the tables are exchanged.
SEARCH_PATH = "rayces_rails,public,rayces_before"
WORKS = "works"
RULE, RIGHT = "23514", "42501"

# Name → (statement, what becomes of it after the adoption); before it all of them work.
STATEMENTS: dict[str, tuple[str, str]] = {
    "organization by subdomain": (
        """SELECT "organizations".* FROM "organizations" WHERE "organizations"."subdomain" = 'norte' LIMIT 1""",
        WORKS,
    ),
    "organization, changed": (
        f"""UPDATE "organizations" SET "phone" = '1', "updated_at" = {NOW} WHERE "organizations"."id" = 2""",
        WORKS,
    ),
    "user by id": ('SELECT "users".* FROM "users" WHERE "users"."id" = 40 LIMIT 1', WORKS),
    "users of a role": (
        'SELECT COUNT(*) FROM "users" WHERE "users"."organization_id" = 2 AND "users"."role" = 3',
        WORKS,
    ),
    "user, made": (
        f"""INSERT INTO "users" ("name", "email", "uid", {STAMPED}, "organization_id", "role", "jti", "current_sign_in_ip")
            VALUES ('n', 'New@Example.org', 'n1', {NOW}, {NOW}, 2, 3, 'j', '10.0.0.1') RETURNING "id" """,
        WORKS,
    ),
    "user, made with the default role": (
        f"""INSERT INTO "users" ("email", "uid", {STAMPED}, "organization_id")
            VALUES ('New2@Example.org', 'n2', {NOW}, {NOW}, 2) RETURNING "id", "role", "sign_in_count" """,
        WORKS,
    ),
    "user, signed in": (
        f"""UPDATE "users" SET "sign_in_count" = 2, "current_sign_in_at" = {NOW}, "current_sign_in_ip" = '10.0.0.2',
            "updated_at" = {NOW} WHERE "users"."id" = 40""",
        WORKS,
    ),
    "user, promoted": ('UPDATE "users" SET "role" = 2 WHERE "users"."id" = 40', WORKS),
    "user, deleted": ("""DELETE FROM "users" WHERE "users"."email" ILIKE 'new2@example.org'""", WORKS),
    "post, made": (
        f"""INSERT INTO "posts" ("hash_id", "content", {STAMPED}, "user_id", "organization_id")
            VALUES ('h', 'hi', {NOW}, {NOW}, 40, 2) RETURNING "id" """,
        WORKS,
    ),
    "feed": (
        """SELECT "posts".*, "users"."email" FROM "posts" INNER JOIN "users" ON "users"."id" = "posts"."user_id"
            WHERE "posts"."organization_id" = 2 ORDER BY "posts"."created_at" DESC LIMIT 10""",
        WORKS,
    ),
    "like, made": (
        f"""INSERT INTO "likes" ("user_id", "post_id", {STAMPED}, "organization_id")
            SELECT 40, min(id), {NOW}, {NOW}, 2 FROM posts WHERE organization_id = 2 AND user_id = 40 RETURNING "id" """,
        WORKS,
    ),
    "like, deleted": ('DELETE FROM "likes" WHERE "likes"."user_id" = 40', WORKS),
    "student, made": (
        f"""INSERT INTO "students" ("organization_id", "first_name", "last_name", "primary_contact_id", {STAMPED})
            VALUES (2, 'Leo', 'Sosa', 40, {NOW}, {NOW}) RETURNING "id" """,
        WORKS,
    ),
    "student, enrolled": (
        f"""UPDATE "students" SET "admission_state" = 'enrolled', "updated_at" = {NOW} WHERE "students"."id" = 1""",
        WORKS,
    ),
    "professional, changed": ('UPDATE "professionals" SET "weekly_schedule" = \'{}\' WHERE "user_id" = 7', WORKS),
    "appointment, drafted": (
        f"""INSERT INTO "appointments" ("organization_id", "professional_id", "student_id", "client_id", "scheduled_at",
            "state", {STAMPED}) SELECT 2, 7, min(id), 40, '2032-01-01 10:00:00', 'draft', {NOW}, {NOW} FROM students
            WHERE organization_id = 2 RETURNING "id" """,
        WORKS,
    ),
    "agenda": (
        """SELECT "appointments".* FROM "appointments" WHERE "appointments"."professional_id" = 7
            AND "appointments"."scheduled_at" BETWEEN '2031-01-01' AND '2032-12-31' AND "appointments"."state" = 'draft'""",
        WORKS,
    ),
    "appointment, held": (
        'UPDATE "appointments" SET "state" = \'pre_confirmed\' WHERE "scheduled_at" = \'2032-01-01 10:00:00\'',
        RULE,
    ),
    "appointment, cancelled": (
        f"""UPDATE "appointments" SET "state" = 'cancelled', "cancelled_at" = {NOW}, "cancellation_reason" = 'ill'
            WHERE "scheduled_at" = '2032-01-01 10:00:00'""",
        WORKS,
    ),
    "balance, read": ('SELECT "credit_balances".* FROM "credit_balances" WHERE "user_id" = 40 LIMIT 1', WORKS),
    "balance, written over": ('UPDATE "credit_balances" SET "balance" = 9 WHERE "user_id" = 40', RIGHT),
    "entry, made": (
        f"""INSERT INTO "credit_transactions" ("organization_id", "user_id", "credit_balance_id", "amount",
            "transaction_type", "status", "processed_at", {STAMPED}) SELECT 2, 40, id, 5, 'purchase', 'completed', {NOW},
            {NOW}, {NOW} FROM credit_balances WHERE user_id = 40""",
        RIGHT,
    ),
    "entries, read": (
        """SELECT "credit_transactions".* FROM "credit_transactions" WHERE "user_id" = 40 AND "status" = 'completed'""",
        WORKS,
    ),
}


def outcomes(connection: Any) -> dict[str, str]:
    """Statement → works, or the SQLSTATE that refused it; in this order, as one works with what another has made."""
    cursor = connection.cursor()
    cursor.execute("SET timezone TO 'UTC'")
    became = {}
    for name, (statement, _) in STATEMENTS.items():
        try:
            cursor.execute(statement)
            empty = cursor.rowcount == 0 and not name.endswith("read")
            became[name] = "touches nothing" if empty else WORKS
        except psycopg2.Error as error:
            became[name] = str(error.pgcode)
    return became
