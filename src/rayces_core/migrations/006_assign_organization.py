"""Rows of MyHub are put into the one organization there is, or into a new one called MyHub; e-mails are normalised.

What would not fit is reported before anything is written. Going back keeps the assignment: the column goes with 003,
and an address in its normal form is still the same address.
"""

from rayces_core.migrations import (
    MigrationDatabase,
    MigrationError,
    Migrator,
    backfill,
    normal_address,
    trimmed_address,
)

ATOMIC = False

# A post or a like follows its author, so only users can be ambiguous.
BACKFILLS = (
    (
        "users",
        "organization_id = coalesce(organization_id, (SELECT id FROM organizations)), email = {normal}",
        "organization_id IS NULL OR email <> {normal}",
    ),
    ("posts", "organization_id = (SELECT organization_id FROM users WHERE id = user_id)", "organization_id IS NULL"),
    ("likes", "organization_id = (SELECT organization_id FROM users WHERE id = user_id)", "organization_id IS NULL"),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.run(refuse_unfit_rows, database)
    migrator.sql("""
        INSERT INTO organizations (name, subdomain)
        SELECT 'MyHub', 'myhub'
         WHERE EXISTS (SELECT FROM users) AND NOT EXISTS (SELECT FROM organizations)
    """)
    normal = normal_address(database)
    for table, assignment, condition in BACKFILLS:
        migrator.run(backfill, database, table, assignment.format(normal=normal), condition.format(normal=normal))
    migrator.sql("ANALYZE users, posts, likes")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    """Nothing to undo: see above."""


def refuse_unfit_rows(database: MigrationDatabase) -> None:
    _refuse_ambiguity(database)
    for child, column, parent in (
        ("posts", "user_id", "users"),
        ("likes", "user_id", "users"),
        ("likes", "post_id", "posts"),
    ):
        _refuse_orphans(database, child, column, parent)
    _refuse_empty_emails(database)
    _refuse_shared_emails(database)


def _refuse_ambiguity(database: MigrationDatabase) -> None:
    unassigned, organizations = database.execute_sql(
        "SELECT (SELECT count(*) FROM users WHERE organization_id IS NULL), (SELECT count(*) FROM organizations)"
    ).fetchone()
    if unassigned and organizations > 1:
        raise MigrationError(
            f"{unassigned} users have no organization and there are {organizations} organizations to choose from; "
            "set users.organization_id yourself, or leave only one organization, then run the migration again"
        )


def _refuse_orphans(database: MigrationDatabase, child: str, column: str, parent: str) -> None:
    orphans, example = database.execute_sql(f"""
        SELECT count(*), min(child.id) FROM {child} AS child
         WHERE child.{column} IS NOT NULL
           AND NOT EXISTS (SELECT FROM {parent} AS parent WHERE parent.id = child.{column})
    """).fetchone()
    if orphans:
        raise MigrationError(
            f"{orphans} {child} name a {column} that does not exist in {parent} (the first has id {example}); "
            f"repair or delete them, then run the migration again"
        )


def _refuse_empty_emails(database: MigrationDatabase) -> None:
    empty, example = database.execute_sql(
        f"SELECT count(*), min(id) FROM users WHERE coalesce({trimmed_address(database)}, '') = ''"
    ).fetchone()
    if empty:
        raise MigrationError(
            f"{empty} users have no e-mail address (the first has id {example}); "
            "give each one an address, then run the migration again"
        )


def _refuse_shared_emails(database: MigrationDatabase) -> None:
    shared, first, second = database.execute_sql(f"""
        SELECT count(*), min(first), min(second) FILTER (WHERE place = 1)
          FROM (SELECT ids[1] AS first, ids[2] AS second, row_number() OVER (ORDER BY ids[1]) AS place
                  FROM (SELECT array_agg(id ORDER BY id) AS ids FROM users
                         GROUP BY organization_id, {normal_address(database)} HAVING count(*) > 1) AS addresses) AS pairs
    """).fetchone()
    if shared:
        raise MigrationError(
            f"{shared} e-mail addresses belong to more than one user once spaces and case are set aside "
            f"(users {first} and {second}, for example); merge or rename them, then run the migration again"
        )
