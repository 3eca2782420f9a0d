"""A tenant's archive: all of it, nothing of others, and the same again wherever it goes."""

from __future__ import annotations

import json
import stat
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rayces_core import (
    Database,
    Invoice,
    Organization,
    Post,
    Role,
    StateTransition,
    Student,
    TenantNotSetError,
    TransactionFailedError,
    User,
    archive,
    clock,
    credits,
    invoicing,
    people,
)
from rayces_core.archive.layout import ARCHIVED, JOURNAL, LEFT_BEHIND, SUBJECTS, layout, references_of
from rayces_core.archive.writing import last_migration
from rayces_core.models import TENANT_MODELS
from tests.conftest import cloned, on_server
from tests.exporting.worlds import fill, names_of_everything
from tests.factory import make_organization, make_post, make_student, make_user
from tests.models.test_schema import OF_KIND


def rows_of(path: Path, table: str) -> list[dict[str, object]]:
    with zipfile.ZipFile(path) as opened:
        return [json.loads(line) for line in opened.read(f"{table}.jsonl").splitlines()]


def manifest_of(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as opened:
        return json.loads(opened.read("manifest.json"))


def assert_same_tables(first: Path, second: Path) -> None:
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
        assert one.namelist() == other.namelist()
        for name in one.namelist():
            assert name == "manifest.json" or one.read(name) == other.read(name), name


# -- the round trip -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_comes_in_is_what_went_out(db: Database, full: Organization, written: Path, tmp_path: Path) -> None:
    with db.tenant(full):
        before, checksum = names_of_everything(), archive.content_checksum()
    done = archive.restore(db, written, subdomain=f"{full.subdomain}-again")
    with db.tenant(done.organization) as organization:
        assert names_of_everything() == before
        assert archive.content_checksum() == checksum == done.content_sha256
        assert credits.verify().is_clean
        assert (organization.settings, organization.currency) == ({"confirmation_hours": 5}, "UYU")
        assert organization.time_zone == "America/Montevideo"
        archive.write(tmp_path / "again.zip")
    assert_same_tables(written, tmp_path / "again.zip")


@pytest.mark.slow
def test_it_goes_into_another_database(
    make_database: Callable[..., str], template: str, full: Organization, written: Path, tmp_path: Path
) -> None:
    with Database.connect(make_database(template)) as other:
        for number in range(3):  # ids differ from those of the source
            with other.tenant(make_organization(other)):
                make_post(content=str(number))
        done = archive.restore(other, written)
        assert done.organization.subdomain == full.subdomain
        with other.tenant(full.subdomain):
            assert archive.content_checksum() == manifest_of(written)["content_sha256"]
            assert credits.verify().is_clean
            archive.write(tmp_path / "again.zip")
    assert_same_tables(written, tmp_path / "again.zip")


@pytest.mark.slow
def test_life_goes_on_after_it(db: Database, written: Path) -> None:
    done = archive.restore(db, written, subdomain="life-goes-on")
    with db.tenant(done.organization):
        mark = User.get(User.email == "mark@example.org")
        entry = credits.purchase(mark, 5)
        assert (entry.sequence, entry.balance_after) == (2, 8)
        student = Student.get(Student.first_name == "mark")
        assert [move.actor_id for move in student.history()] == [mark.id]
        student.admit(by=mark)
        assert [move.event for move in student.history()] == ["apply", "admit"]
        assert credits.verify().is_clean
        fill("another")


@pytest.mark.slow
def test_invoices_keep_their_numbers_and_the_next_one_has_the_next(db: Database, tmp_path: Path) -> None:
    with db.tenant(make_organization(db)):
        payer = make_user(email="payer@example.org")
        first = _invoiced(payer)
        invoicing.credit_note(first, reason="wrong")
        _invoiced(payer)
        archive.write(tmp_path / "invoices.zip")
    done = archive.restore(db, tmp_path / "invoices.zip", subdomain=f"invoices-{payer.id}")
    with db.tenant(done.organization):
        issued = sorted((str(each.kind), each.number) for each in Invoice.select())
        assert issued == [("credit_note", 1), ("invoice", 1), ("invoice", 2)]
        third = _invoiced(User.get(User.email == "payer@example.org"))
        assert (third.number, invoicing.credit_note(third, reason="wrong").number) == (3, 2)
        assert invoicing.verify_invoices() == []


@pytest.mark.slow
def test_who_was_erased_or_merged_comes_in_as_nobody_and_others_can_be_erased_there(
    db: Database, own_db: Database, tmp_path: Path
) -> None:
    with db.tenant(make_organization(db)):
        desk, gone, duplicate, stays = (make_user(role=role) for role in (Role.STAFF, *3 * [Role.GUARDIAN]))
        child = make_student(primary_contact=gone)
        people.merge_users(stays, duplicate, by=desk)
        people.erase_student(db, child, by=desk)
        people.erase_user(db, gone, by=desk)
        archive.write(tmp_path / "erased.zip")
    done = archive.restore(own_db, tmp_path / "erased.zip", subdomain="erased")
    with own_db.tenant(done.organization):
        (desk,) = User.select().where(User.role == Role.STAFF)
        assert Student.get().full_name.startswith("Erased student")
        for user in User.select().where(User.role == Role.GUARDIAN, User.erased_at.is_null()):
            people.erase_user(own_db, user, by=desk)
        assert {user.first_name for user in User.select().where(User.role == Role.GUARDIAN)} == {None}


def _invoiced(payer: User) -> Invoice:
    credits.purchase(payer, 1, amount_cents=1000, currency="ARS")
    today = clock.now().date()
    invoice = invoicing.draft_invoice(payer, today - timedelta(days=2), today + timedelta(days=2), currency="ARS")
    invoice.issue()
    return invoice


@pytest.mark.slow
def test_tokens_are_made_anew(db: Database, full: Organization, written: Path) -> None:
    with db.tenant(full):
        tokens = {user.jti for user in User.select()}
    with db.tenant(archive.restore(db, written, subdomain="anew").organization):
        anew = {user.jti for user in User.select()}
    assert len(anew) == len(tokens)
    assert None not in anew
    assert not anew & tokens
    assert "jti" not in rows_of(written, "users")[0]


@pytest.mark.slow
def test_the_journal_of_a_row_that_is_gone_names_nobody(db: Database, written: Path) -> None:
    with db.tenant(archive.restore(db, written, subdomain="gone").organization):
        orphans = {move.subject_id for move in StateTransition.select() if move.subject_id < 0}
        assert orphans == {-1}
        ids = {student.id for student in Student.select()}
        named = StateTransition.select().where(StateTransition.subject_type == "Student")
        assert {move.subject_id for move in named} - orphans <= ids


@pytest.mark.exhaustive
def test_it_goes_from_one_version_of_postgresql_to_another(
    full: Organization, written: Path, tmp_path: Path, oldest_server_url: str
) -> None:
    """On one server it is test_a_tenant_comes_back_to_the_same_content or its like; here the versions differ."""
    with cloned(oldest_server_url, "template0") as url, Database.connect(url) as other:
        other.migrate()
        with other.tenant(archive.restore(other, written).organization):
            assert archive.content_checksum() == manifest_of(written)["content_sha256"]
            archive.write(tmp_path / "again.zip")
    assert_same_tables(written, tmp_path / "again.zip")


# -- what is in it --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_tenant_table_is_in_it_with_rows(db: Database, full: Organization, written: Path) -> None:
    with db.privileged(reason="test"):
        found = db.execute_sql(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'organization_id' "
            "AND table_schema = current_schema()"
        ).fetchall()
    tables = manifest_of(written)["tables"]
    assert (
        set(tables) == {name for (name,) in found} - set(LEFT_BEHIND) == {model._meta.table_name for model in ARCHIVED}
    )
    assert [name for name, entry in tables.items() if not entry["rows"]] == []
    with db.tenant(full):
        assert {model._meta.table_name: model.select().count() for model in ARCHIVED} == {
            name: entry["rows"] for name, entry in tables.items()
        }


@pytest.mark.slow
def test_every_column_is_in_it_but_ids_tokens_and_what_is_computed(db: Database, full: Organization) -> None:
    with db.tenant(full):
        tables = {table.name: table for table in layout()}
    for model in ARCHIVED:
        columns = {field.column_name for field in model._meta.sorted_fields}
        left_out = columns - set(tables[model._meta.table_name].columns)
        computed = {field.column_name for field in model._meta.sorted_fields if getattr(field, "generated", False)}
        assert left_out <= {"id", "organization_id", "jti"} | computed, model


def test_references_are_the_foreign_keys_of_the_database(db: Database, full: Organization) -> None:
    keys = """
        SELECT child.attname::text, parent.attname::text, confrelid::regclass::text FROM pg_constraint
          JOIN LATERAL unnest(conkey, confkey) AS pair(child, parent) ON true
          JOIN pg_attribute AS child ON child.attrelid = conrelid AND child.attnum = pair.child
          JOIN pg_attribute AS parent ON parent.attrelid = confrelid AND parent.attnum = pair.parent
         WHERE contype = 'f' AND conrelid = %s::regclass AND parent.attname = ANY(%s)
           AND child.attname NOT IN ('organization_id', 'id')"""
    for model in TENANT_MODELS:
        references = references_of(model)
        with db.tenant(full):
            found = db.execute_sql(keys, (model._meta.table_name, ["id", "user_id", *OF_KIND.values()])).fetchall()
        for column, target, table in found:
            assert references[column] == ("users" if target == "user_id" else table), (model, column)
        assert set(references) == {column for column, _, _ in found}, model


def test_the_journal_knows_every_kind_of_subject(db: Database, full: Organization) -> None:
    with db.tenant(full):
        kinds = {move.subject_type for move in StateTransition.select()}
    assert kinds == set(SUBJECTS)
    assert JOURNAL == "state_transitions"


@pytest.mark.slow
def test_another_tenant_s_rows_are_not_in_it(db: Database, a: Organization, b: Organization, tmp_path: Path) -> None:
    with db.tenant(b):
        fill("neighbour-secret")
    with db.tenant(a):
        fill("own")
        archive.write(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        everything = b"".join(opened.read(name) for name in opened.namelist())
    assert b"own" in everything
    assert b"neighbour-secret" not in everything
    assert b"organization_id" not in everything


def test_only_its_owner_may_read_it_and_nothing_else_is_left(written: Path) -> None:
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert [path.name for path in written.parent.iterdir()] == [written.name]


@pytest.mark.slow
def test_it_is_of_one_moment(db: Database, a: Organization, tmp_path: Path) -> None:
    """A post and its author that come while the archive is written are either both in it or both not."""
    with db.tenant(a):
        make_post()

    def meanwhile(table: str, done: int, total: int) -> None:
        def write() -> None:
            with db.tenant(a):
                make_post(user=make_user(), content="late")

        if table == "users" and not late:
            late.append(threading.Thread(target=write))
            late[0].start()
            late[0].join()

    late: list[threading.Thread] = []
    with db.tenant(a):
        archive.write(tmp_path / "a.zip", progress=meanwhile)
        assert Post.select().where(Post.content == "late").exists()
    assert len(rows_of(tmp_path / "a.zip", "posts")) == 1
    archive.restore(db, tmp_path / "a.zip", subdomain="one-moment")


@pytest.mark.slow
def test_the_same_content_is_the_same_tables(db: Database, full: Organization, written: Path, tmp_path: Path) -> None:
    with db.tenant(full):
        archive.write(tmp_path / "second.zip")
    assert_same_tables(written, tmp_path / "second.zip")


@pytest.mark.slow
def test_the_checksum_sees_every_change(db: Database, written: Path) -> None:
    with db.tenant(archive.restore(db, written, subdomain="changes").organization) as organization:
        seen = [archive.content_checksum()]
        Post.update(content="changed").execute()
        seen.append(archive.content_checksum())
        Organization.update(address="Calle 1").where(Organization.id == organization.id).execute()
        seen.append(archive.content_checksum())
        make_user()
        seen.append(archive.content_checksum())
        db.execute_sql("UPDATE users SET jti = 'token' WHERE email = 'mark@example.org'")
        assert archive.content_checksum() == seen[-1]
    assert len(set(seen)) == 4


# -- where it may be called ----------------------------------------------------------------------------------


def test_it_needs_a_tenant_and_a_unit_of_work_of_its_own(db: Database, a: Organization, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.raises(TenantNotSetError):
        archive.write(path)
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        archive.write(path)
    with db.tenant(a), db.atomic(), pytest.raises(TransactionFailedError):
        archive.write(path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file(db: Database, a: Organization, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"the old one")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with db.tenant(a):
        make_user()
        with pytest.raises(KeyboardInterrupt):
            archive.write(path, progress=fail)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_login_that_may_not_see_the_migrations_still_archives(own_db: Database, tmp_path: Path) -> None:
    organization = make_organization(own_db)
    on_server(own_db.url, "ALTER TABLE rayces_migrations RENAME TO elsewhere")
    with own_db.tenant(organization):
        assert last_migration() is None
        archive.write(tmp_path / "a.zip")
    archive.restore(own_db, tmp_path / "a.zip", subdomain="again")


@pytest.mark.slow
def test_an_empty_tenant_goes_too(db: Database, a: Organization, tmp_path: Path) -> None:
    with db.tenant(a):
        done = archive.write(tmp_path / "a.zip")
    assert done.total == 0
    assert archive.restore(db, tmp_path / "a.zip", subdomain="nothing").total == 0


@pytest.mark.slow
def test_progress_counts_to_the_end(db: Database, full: Organization, written: Path, tmp_path: Path) -> None:
    out: dict[str, tuple[int, int]] = {}
    back: dict[str, tuple[int, int]] = {}
    with db.tenant(full):
        done = archive.write(tmp_path / "a.zip", progress=lambda table, *at: out.__setitem__(table, at))
    archive.restore(db, written, subdomain="progress", progress=lambda table, *at: back.__setitem__(table, at))
    assert out == back == {table: (rows, rows) for table, rows in done.rows.items()}
