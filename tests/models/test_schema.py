"""The models say of the schema what the migrated database says: column by column, key by key, rule by rule."""

import psycopg2
import pytest
from peewee import Context, Field

from rayces_core import Appointment, CreditTransaction, Organization, OutboxMessage, User
from rayces_core.fields import GeneratedBigIntegerField, GeneratedDateTimeField
from rayces_core.models import TENANT_MODELS
from rayces_core.tenancy.relations import OrganizationKey, TenantForeignKey
from tests.factory import MAKERS
from tests.walking import walked

MODELS = [Organization, *TENANT_MODELS]
# Random values: a token id has no counterpart in the database, and a message id one that is never the same. What is
# nothing unless it is given has no default there.
ONLY_IN_PYTHON = {User.jti, OutboxMessage.message_id, Appointment.credit_kind, CreditTransaction.credit_package}
ONLY_IN_PYTHON |= {CreditTransaction.takes_back_balance}
ONLY_IN_PYTHON |= {Appointment.slot_request}
# Foreign keys that no field stands for: what ties an entry to the one before it, and a balance to its last one.
AFTER = ("organization_id", "credit_balance_id", "sequence", "balance_after")
BEFORE = ("organization_id", "credit_balance_id", "previous_sequence", "balance_before")
TAKEN_BACK = ("organization_id", "takes_back_balance_id", "takes_back_sequence")
OF_A_DEBIT = ("organization_id", "credit_balance_id", "appointment_id")
GIVES_BACK, LEFT = (*OF_A_DEBIT, "refundable_before"), (*OF_A_DEBIT, "refundable_after")
PLACE = ("professional_id", "scheduled_at", "duration_minutes", "buffer_minutes")
SEAT = ("organization_id", "group_session_id", *PLACE, "seats")
CORRECTED, NUMBERED = ("currency", "user_id"), ("organization_id", "kind", "series")
SOURCE, AMOUNTS = ("organization_id", "source_key"), ("quantity", "unit_cents", "tax_basis_points", "tax_cents")
OF_INVOICE = ("organization_id", "invoice_id")
WITHOUT_FIELD = {
    "invoices": {
        ("invoices", (*NUMBERED, "previous_number"), (*NUMBERED, "number")),
        (
            "invoices",
            ("organization_id", "corrects_series", "corrects_number", *CORRECTED),
            ("organization_id", "series", "invoice_number", *CORRECTED),
        ),
    },
    "invoice_lines": {
        (
            "invoices",
            (*OF_INVOICE, "kind", "line_count", "invoice_net_cents", "invoice_tax_cents"),
            ("organization_id", "id", "kind", "line_count", "net_cents", "tax_cents"),
        ),
        (
            "invoice_lines",
            (*OF_INVOICE, "previous_position", "net_before", "tax_before"),
            (*OF_INVOICE, "position", "net_after", "tax_after"),
        ),
        (
            "invoice_lines",
            (*OF_INVOICE, "tax_basis_points", "previous_rate_position", "rate_before"),
            (*OF_INVOICE, "tax_basis_points", "rate_position", "rate_after"),
        ),
        ("invoice_lines", (*SOURCE, "previous_turn"), (*SOURCE, "turn")),
        ("invoice_lines", (*SOURCE, "credited_turn", *AMOUNTS), (*SOURCE, "turn", *AMOUNTS)),
    },
    "appointments": {("group_sessions", SEAT, ("organization_id", "id", *PLACE, "open_seats"))},
    "credit_transactions": {
        ("credit_transactions", BEFORE, AFTER),
        ("credit_transactions", GIVES_BACK, LEFT),
        ("credit_transactions", TAKEN_BACK, AFTER[:3]),
    },
    "credit_balances": {("credit_transactions", ("organization_id", "id", "last_sequence", "balance"), AFTER)},
}

every_model = walked("model", MODELS, ids=lambda model: model.__name__)


@pytest.fixture(scope="module")
def catalogue(db):
    connection = psycopg2.connect(db.url)
    connection.autocommit = True

    def ask(sql, *values):
        cursor = connection.cursor()
        cursor.execute(sql, values)
        return cursor.fetchall()

    yield ask
    connection.close()


def columns(catalogue, table):
    sql = """
        select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               pg_get_expr(d.adbin, d.adrelid)
          from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
    """
    return {name: rest for name, *rest in catalogue(sql, table)}


def sql_type(field):
    while isinstance(field, TenantForeignKey | OrganizationKey):
        field = field.rel_field
    return {"DATETIME": "timestamptz", "JSON": "jsonb", "BOOL": "boolean", "DATE": "date"}.get(
        field.field_type, field.field_type
    )


@every_model
def test_each_column_has_its_field_and_each_field_its_column(catalogue, model):
    fields = {field.column_name for field in model._meta.sorted_fields}
    assert fields == set(columns(catalogue, model._meta.table_name))


@every_model
def test_types_and_nullability_agree(catalogue, model):
    actual = columns(catalogue, model._meta.table_name)
    for field in model._meta.sorted_fields:
        type_name, not_null, identity, generated, _ = actual[field.column_name]
        ((expected,),) = catalogue("select %s::regtype::text", sql_type(field))
        assert type_name == expected, field
        if isinstance(field, GeneratedDateTimeField | GeneratedBigIntegerField):
            assert generated == "s", field
        else:
            assert not_null == (not field.null), field
            assert generated == "", field
        assert (identity == "d") == field.primary_key, field


@every_model
def test_defaults_agree(catalogue, model):
    actual = columns(catalogue, model._meta.table_name)
    for field in model._meta.sorted_fields:
        *_, generated, default = actual[field.column_name]
        if generated or field.primary_key or field in ONLY_IN_PYTHON:
            continue
        if field.default is None:
            assert default is None, field
        elif callable(field.default):
            expected = "now()" if "DATETIME" in field.field_type or "TIMESTAMP" in field.field_type else field.default()
            value = default if expected == "now()" else catalogue(f"select {default}")[0][0]
            assert value == expected, field
        else:
            ((value,),) = catalogue(f"select {default}")
            assert value == field.db_value(field.default), field


@pytest.mark.slow
@every_model
def test_a_row_made_without_its_defaults_has_them(db, a, model):
    if model is Organization:
        made = a
    else:
        with db.tenant(a):
            made = MAKERS[model]()
    with db.privileged(reason="test"):
        stored = model.select().where(model.id == made.id, model._tenant_field() == a.id).get()
    assert stored.__data__ == {name: made.__data__.get(name) for name in model._meta.fields}


# A column that refers to resources of one kind alone.
OF_KIND = {"room_id": "room_key", "device_id": "device_key"}


@every_model
def test_foreign_keys_agree_and_are_composite(catalogue, model):
    sql = """
        select confrelid::regclass::text,
               array_agg(a.attname::text order by k.n), array_agg(b.attname::text order by k.n)
          from pg_constraint c, unnest(c.conkey, c.confkey) with ordinality k(mine, theirs, n),
               pg_attribute a, pg_attribute b
         where c.contype = 'f' and c.conrelid = %s::regclass
           and a.attrelid = c.conrelid and a.attnum = k.mine and b.attrelid = c.confrelid and b.attnum = k.theirs
         group by c.oid, confrelid
    """
    actual = {(table, tuple(mine), tuple(theirs)) for table, mine, theirs in catalogue(sql, model._meta.table_name)}
    expected = set()
    for field in model._meta.sorted_fields:
        if isinstance(field, OrganizationKey):
            expected.add(("organizations", ("organization_id",), ("id",)))
        elif isinstance(field, TenantForeignKey):
            key = OF_KIND.get(field.column_name, field.rel_field.column_name)
            mine, theirs = ("organization_id", field.column_name), ("organization_id", key)
            if model._meta.table_name == "credit_transactions" and field.name == "credit_balance":
                mine, theirs = (*mine, "user_id", "credit_kind_key"), (*theirs, "user_id", "credit_kind_key")
            expected.add((field.rel_model._meta.table_name, mine, theirs))
    expected |= WITHOUT_FIELD.get(model._meta.table_name, set())
    assert actual == expected


def rendered(node):
    return Context().sql(node).query()[0]


@pytest.mark.slow
@every_model
def test_checks_agree_in_name_and_rule(catalogue, model):
    table = model._meta.table_name
    sql = "select conname, pg_get_constraintdef(oid) from pg_constraint where contype = 'c' and conrelid = %s::regclass"
    actual = dict(catalogue(sql, table))
    copy = f"schema_check_{table}"
    # PostgreSQL itself writes the models' rules in its own spelling.
    catalogue(f"create table {copy} (like {table}); select 1")
    try:
        for node in model._meta.constraints or []:
            catalogue(f"alter table {copy} add {rendered(node)}; select 1")
        expected = dict(catalogue(sql, copy))
    finally:
        catalogue(f"drop table {copy}; select 1")
    assert actual == expected


@every_model
def test_unique_constraints_agree(catalogue, model):
    sql = """
        select i.indexrelid::regclass::text,
               array(select a.attname::text from unnest(i.indkey) with ordinality k(n, o)
                       join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.n order by o),
               pg_get_expr(i.indpred, i.indrelid)
          from pg_index i where i.indisunique and not i.indisprimary and i.indrelid = %s::regclass
    """
    actual = {
        name: (tuple(names), bool(predicate)) for name, names, predicate in catalogue(sql, model._meta.table_name)
    }
    expected = {}
    for index in model._meta.indexes:
        if getattr(index, "_unique", False):
            # Of an expression, as lower(name), the catalogue names no column.
            names = tuple(field.column_name for field in index._expressions if isinstance(field, Field))
            expected[index._name] = (names, index._where is not None)
    for field in model._meta.sorted_fields:
        if field.unique:
            expected[f"{model._meta.table_name}_{field.column_name}_key"] = ((field.column_name,), False)
    assert actual == expected


# -- grants ---------------------------------------------------------------------------------------------------

EDITABLE = {"SELECT", "INSERT", "UPDATE", "DELETE"}
APP = {
    "organizations": {"SELECT", "UPDATE"},
    "users": EDITABLE,
    "posts": EDITABLE,
    "likes": EDITABLE,
    "professionals": EDITABLE,
    "credit_kinds": EDITABLE,
    "credit_packages": EDITABLE,
    "credit_lots": EDITABLE - {"DELETE"},
    "credit_lot_movements": {"SELECT", "INSERT"},
    "services": EDITABLE,
    "resources": EDITABLE,
    "professional_services": EDITABLE,
    "students": EDITABLE,
    "appointment_series": EDITABLE - {"DELETE"},
    "closed_days": EDITABLE,
    "time_off_requests": EDITABLE - {"DELETE"},
    "slot_requests": EDITABLE - {"DELETE"},
    "invoice_counters": EDITABLE - {"DELETE"},
    "invoices": EDITABLE - {"DELETE"},
    "invoice_lines": {"SELECT", "INSERT"},
    "appointments": EDITABLE - {"DELETE"},
    "group_sessions": EDITABLE - {"DELETE"},
    "credit_balances": EDITABLE - {"DELETE"},
    "credit_transactions": EDITABLE - {"DELETE"},
    "state_transitions": {"SELECT", "INSERT"},
    "import_runs": EDITABLE - {"DELETE"},
    "outbox_messages": {"SELECT", "INSERT"},
    "webhook_endpoints": EDITABLE,
    "credentials": EDITABLE,
    "devices": EDITABLE,
    "single_use_tokens": EDITABLE,
    "sign_in_attempts": EDITABLE,
    "notices": EDITABLE,
    "calendar_feeds": EDITABLE - {"DELETE"},
    "outside_calendars": EDITABLE,
    "outside_busy": {"SELECT", "INSERT", "DELETE"},
}
UPDATABLE = {
    "group_sessions": {
        *("name", "scheduled_at", "duration_minutes", "buffer_minutes", "capacity", "open_seats", "state"),
        *("cancelled_at", "cancelled_by_id", "cancellation_reason", "updated_at"),
        *("second_professional_id", "room_id", "device_id"),
    },
    "resources": {"name", "features", "active", "blocked_dates", "created_at", "updated_at"},
    "organizations": {"name", "time_zone", "currency", "settings", "email", "phone", "address", "updated_at"},
    "credit_lots": {"remaining", "updated_at"},
    "credit_lot_movements": set(),
    "credit_balances": {
        "reserved",
        "in_lots",
        "balance",
        "lifetime_purchased",
        "lifetime_used",
        "last_sequence",
        "updated_at",
    },
    "credit_transactions": {"status", "processed_at", "metadata", "updated_at"}
    | {"balance_before", "balance_after", "sequence", "previous_sequence", "refundable_before", "refundable_after"},
    "state_transitions": set(),
    "outbox_messages": set(),
    "credentials": {"password_hash", "password_changed_at", "email_confirmed_at", "email_hash", "updated_at"},
    "devices": {"expires_at"},
    "single_use_tokens": {"hashes", "used_at"},
    "sign_in_attempts": {"failures", "last_at", "blocked_until"},
    "webhook_endpoints": {
        *("url", "secrets", "topics", "enabled", "disabled_reason", "description", "updated_at"),
    },
    "notices": {
        *("recipient_id", "address", "state", "reason", "attempts", "retry_at", "sent_at", "reference", "updated_at"),
    },
    "time_off_requests": {"state", "decided_at", "updated_at"},
    "slot_requests": {"client_id", "state", "place_at", "updated_at"},
    "calendar_feeds": {"user_id", "secret_hash", "revoked_at", "last_read_at", "body_hash", "changed_at"},
    "outside_calendars": {
        *("name", "etag", "last_modified", "read_at", "tried_at", "failing_since", "failure", "updated_at"),
    },
    "outside_busy": set(),
    "invoice_counters": {"last_number"},
    "invoices": {
        *("state", "customer", "biller", "series", "number", "issued_at", "issued_on", "due_on", "line_count"),
        *("net_cents", "tax_cents", "total_cents", "updated_at"),
    },
    "invoice_lines": set(),
    "appointment_series": {"ends_before", "follows_id", "updated_at"},
    "import_runs": {"last_row", "created", "updated", "unchanged", "skipped", "finished_at", "updated_at"},
}
REQUEST = {"idempotency_key", "request_fingerprint", "group_session_id"}
BOOKED = {"appointments": {"credit_kind_id", "slot_request_id"}, "users": {"erased_at"}, "students": {"erased_at"}}
ALL_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


@every_model
def test_the_application_role_may_do_what_is_designed_and_no_more(catalogue, model):
    table = model._meta.table_name
    whole = "select has_table_privilege('rayces_app', %s, %s) or has_any_column_privilege('rayces_app', %s, %s)"
    some = "select has_table_privilege('rayces_app', %s, %s)"
    actual = set()
    for privilege in ALL_PRIVILEGES:
        by_column = privilege in ("SELECT", "INSERT", "UPDATE", "REFERENCES")
        values = (table, privilege, table, privilege) if by_column else (table, privilege)
        if catalogue(whole if by_column else some, *values) == [(True,)]:
            actual.add(privilege)
    assert actual == APP[table]


@every_model
def test_the_application_role_never_updates_whose_or_which_a_row_is(catalogue, model):
    table = model._meta.table_name
    names = columns(catalogue, table)
    sql = "select has_column_privilege('rayces_app', %s, %s, 'UPDATE')"
    actual = {name for name in names if catalogue(sql, table, name) == [(True,)]}
    ordinary = {name for name, (_, _, _, generated, _) in names.items() if not generated} - {"id", "organization_id"}
    assert actual == UPDATABLE.get(table, ordinary - REQUEST - BOOKED.get(table, set()))


@every_model
def test_nobody_else_has_rights(catalogue, model):
    sql = "select has_table_privilege('public', %s, p) from unnest(%s::text[]) p"
    assert not any(may for (may,) in catalogue(sql, model._meta.table_name, list(ALL_PRIVILEGES)))


def test_every_table_has_a_model(catalogue):
    sql = "select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
    tables = {name for (name,) in catalogue(sql)}
    assert tables - {"rayces_migrations"} == {model._meta.table_name for model in MODELS}
