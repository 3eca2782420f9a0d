"""The condition of a policy is known by what it means, however it is spelled or printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg2.extras import RealDictCursor

from rayces_core.doctor.conditions import conditions, meanings
from tests.doctor.breaks import TENANT
from tests.doctor.patient import Patient
from tests.sizes import first
from tests.walking import walked

LOOKUP = (
    "subdomain = nullif(current_setting('rayces.lookup', true), '') "
    "AND nullif(current_setting('rayces.organization_id', true), '') IS NULL"
)
SET = "current_setting('rayces.organization_id', true)"
SPELLED = {
    "as a dump has it": TENANT.replace(SET, "current_setting('rayces.organization_id'::text, true)"),
    "casts of SQL": TENANT.replace("nullif", "CAST(nullif").replace("::bigint", " AS bigint)"),
    "brackets": f"((({TENANT.replace('nullif', '(((nullif').replace('::bigint', ')))::bigint')})))",
    "the server's own names": TENANT.replace("current_setting", "pg_catalog.current_setting").replace(
        "organization_id =", "students.organization_id OPERATOR(pg_catalog.=)"
    ),
    "nothing added": f"{TENANT} AND true",
    "escapes": TENANT.replace("'rayces.organization_id'", "E'rayces\\x2eorganization_id'"),
}
OTHERS = {
    "a blank in the name": TENANT.replace("'rayces.organization_id'", "'rayces. organization_id'"),
    "brackets in the name": TENANT.replace("'rayces.organization_id'", "'rayces.(organization_id)'"),
    "a cast in the name": TENANT.replace("'rayces.organization_id'", "'rayces.organization_id::text'"),
    "an error instead of nothing": TENANT.replace("true", "false"),
    "a smaller number": TENANT.replace("::bigint", "::bigint::integer"),
    "another column": TENANT.replace("organization_id =", "coalesce(organization_id, id) ="),
    "another operator": TENANT.replace("organization_id =", "organization_id >="),
    "asked by a sub-select, as up to migration 038": TENANT.replace("nullif", "(SELECT nullif") + ")",
    "one more": f"{TENANT} OR id = 0",
    "not": f"NOT ({TENANT})",
    "all": "true",
    "a table": "organization_id IN (SELECT id FROM organizations)",
}


@pytest.fixture
def make_patient(patient: Patient) -> Callable[[], Iterator[Patient]]:
    @contextmanager
    def make() -> Iterator[Patient]:
        yield patient
        patient.connection.rollback()

    return make


@pytest.mark.slow
@walked("spelling", first(3, SPELLED), anew="patient")
def test_another_spelling_of_the_same_is_well(patient: Patient, spelling: str) -> None:
    patient.run(f"ALTER POLICY rayces_tenant ON students USING ({SPELLED[spelling]}) WITH CHECK ({SPELLED[spelling]})")
    assert patient.audit() == []


@pytest.mark.slow
@walked("what", first(6, OTHERS), anew="patient")
def test_what_means_something_else_is_found(patient: Patient, what: str) -> None:
    patient.run(f"ALTER POLICY rayces_tenant ON students USING ({OTHERS[what]})")
    assert patient.codes() == {"policy-expression"}


@pytest.mark.slow
def test_the_looking_up_of_an_organization_may_be_spelled_otherwise_too(patient: Patient) -> None:
    spelled = LOOKUP.replace("subdomain", "(subdomain)::text")
    patient.run(f"ALTER POLICY rayces_lookup ON organizations USING ((({spelled})))")
    assert patient.audit() == []
    patient.run(f"ALTER POLICY rayces_lookup ON organizations USING ({LOOKUP.replace('lookup', 'look up')})")
    assert patient.codes() == {"policy-extra", "policy-lookup"}


@pytest.mark.slow
def test_the_ledgers_settled_entries_may_be_kept_in_other_words(patient: Patient) -> None:
    spelled = f"((({TENANT})) AND status::text = 'pending'::text)"
    patient.run(f"ALTER POLICY rayces_tenant_update ON credit_transactions USING ({spelled})")
    patient.run("ALTER POLICY rayces_admin_update ON credit_transactions USING (((status = 'pending'::varchar)))")
    assert patient.audit() == []
    patient.run(f"ALTER POLICY rayces_tenant_update ON credit_transactions USING ({TENANT} AND status = 'pend ing')")
    assert patient.codes() == {"policy-expression"}


@pytest.mark.slow
def test_a_function_of_somebodys_own_is_never_the_right_condition_and_does_not_run(patient: Patient) -> None:
    patient.run(
        """CREATE FUNCTION bound() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
           BEGIN PERFORM set_config('noted.ran', session_user, false); RETURN 1; END $$;
           CREATE FUNCTION inlined() RETURNS bigint LANGUAGE sql STABLE
           AS $$ SELECT nullif(current_setting('rayces.organization_id', true), '')::bigint $$;
           ALTER POLICY rayces_tenant ON students USING (organization_id = bound());
           ALTER POLICY rayces_tenant ON posts USING (organization_id = (SELECT inlined()))"""
    )
    found = patient.audit()
    assert {(each.check, each.object) for each in found} == {
        ("policy-expression", "students"),
        ("policy-expression", "posts"),
    }
    cursor = patient.connection.cursor()
    cursor.execute("SELECT current_setting('noted.ran', true)")
    assert not cursor.fetchone()[0]


@pytest.mark.slow
def test_a_function_that_takes_the_servers_place_deceives_nobody(patient: Patient) -> None:
    patient.run(
        f"""CREATE FUNCTION current_setting(text, boolean) RETURNS text LANGUAGE sql STABLE AS $$ SELECT '1' $$;
            CREATE FUNCTION quote_ident(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'nobody' $$;
            SET LOCAL search_path TO public, pg_catalog;
            ALTER POLICY rayces_tenant ON students USING ({TENANT})"""
    )
    (finding,) = patient.audit()
    assert (finding.check, finding.object) == ("policy-expression", "students")
    assert "DROP POLICY IF EXISTS rayces_tenant ON students" in finding.remedy


@pytest.mark.slow
def test_a_transaction_that_only_reads_is_enough(patient: Patient) -> None:
    patient.run(f"ALTER POLICY rayces_tenant ON students USING (({SPELLED['nothing added']}))")
    patient.run("SET TRANSACTION READ ONLY")
    assert patient.audit() == []


@pytest.mark.slow
def test_a_policy_of_a_table_with_any_names_and_types_is_read(patient: Patient) -> None:
    patient.run(
        """CREATE TYPE "Mood %" AS ENUM ('well'); CREATE DOMAIN positive AS int CHECK (value > 0);
           CREATE TABLE "Our {notes} %s" ("a %" "Mood %", "B" positive NOT NULL, c numeric(4, 2)[], d bit varying(3),
               gone int, organization_id bigint NOT NULL REFERENCES organizations, PRIMARY KEY (organization_id, "B"));
           ALTER TABLE "Our {notes} %s" DROP gone, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"""
        f"""CREATE POLICY p ON "Our {{notes}} %s" TO rayces_app USING ({TENANT});
            CREATE POLICY q ON "Our {{notes}} %s" TO rayces_admin USING (true);
            GRANT SELECT ON "Our {{notes}} %s" TO rayces_app, rayces_admin"""
    )
    assert not [code for code in patient.codes() if code.startswith("policy")]


class Counting(RealDictCursor):
    """Counts what the server is asked to plan."""

    planned = 0

    def execute(self, query: Any, values: Any = None) -> None:
        self.planned += "EXPLAIN" in query
        super().execute(query, values)


KNOWN = conditions("rayces_app", "rayces_admin")
NAMED = "SELECT oid FROM pg_policy WHERE polname = %s AND polrelid = %s::regclass"


@pytest.mark.slow
def test_conditions_that_are_printed_alike_are_planned_once(patient: Patient) -> None:
    """Each table has its three or four, and they are the same but for the ledger's."""
    with patient.connection.cursor(cursor_factory=Counting) as cursor:
        found = json.loads(meanings(cursor, KNOWN))
        assert len(found) > 140
        assert cursor.planned < 60


@pytest.mark.slow
def test_what_is_printed_alike_over_columns_of_other_types_is_asked_about_anew(patient: Patient) -> None:
    as_text = "status::text = 'pending'::text"
    patient.run(
        f"""ALTER POLICY rayces_admin_update ON credit_transactions USING ({as_text});
            CREATE SCHEMA billing; CREATE TABLE billing.credit_transactions (organization_id bigint, status integer);
            CREATE POLICY p ON billing.credit_transactions USING ({as_text})"""
    )
    with patient.connection.cursor(cursor_factory=RealDictCursor) as cursor:
        words = {each["policy"]: each["using_"] for each in json.loads(meanings(cursor, KNOWN))}
        found = []
        for named in (("rayces_admin_update", "credit_transactions"), ("p", "billing.credit_transactions")):
            cursor.execute(NAMED, named)
            found.append(words[cursor.fetchone()["oid"]])
    assert found == ["pending", "other"]
