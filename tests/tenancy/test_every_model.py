"""Acceptance: every model of TENANT_MODELS is safe on every simple path, so that a new one fails here until it is."""

import peewee
import pytest
from peewee import fn

from rayces_core import (
    CreditLotMovement,
    CrossTenantError,
    Organization,
    OutboxMessage,
    PermissionDeniedError,
    StateTransition,
    TenantImmutableError,
    TenantNotSetError,
)
from rayces_core.models import TENANT_MODELS, CalendarFeed, Device, Invoice, InvoiceCounter, InvoiceLine, OutsideBusy
from rayces_core.tenancy.model import TenantForeignKey, TenantModel
from tests.factory import MAKERS, make_organization
from tests.tenancy.worlds import World
from tests.walking import walked

each_model = walked("model", TENANT_MODELS)


@pytest.fixture(scope="module")
def filled(world) -> World:
    """A has one row of each model, B has two; both have more rows that these came with."""
    made = World(world.db, make_organization(world.db), make_organization(world.db), 0)
    for organization, count in ((made.a, 1), (made.b, 2)):
        with made.db.tenant(organization):
            for model in TENANT_MODELS:
                for _ in range(count):
                    MAKERS[model]()
    return made


def owners(rows):
    """The organizations that the rows belong to."""
    return {row["organization"] if isinstance(row, dict) else row.organization_id for row in rows}


READS = {
    "select": lambda model: owners(model.select()),
    "iter": lambda model: owners(model),
    "dicts": lambda model: owners(model.select().dicts()),
    "tuples": lambda model: {row[0] for row in model.select(model.organization).tuples()},
    "namedtuples": lambda model: {row.organization for row in model.select(model.organization).namedtuples()},
    "objects": lambda model: owners(model.select().objects()),
    "iterator": lambda model: owners(model.select().iterator()),
    "scalars": lambda model: set(model.select(model.organization).scalars()),
    "scalar": lambda model: {model.select(model.organization).scalar()},
    "first": lambda model: owners([model.select().first()]),
    "get": lambda model: owners([model.get()]),
    "get by id": lambda model: owners([model.get_by_id(model.select(fn.MIN(model.id)).scalar())]),
    "Model[id]": lambda model: owners([model[model.select(fn.MAX(model.id)).scalar()]]),
    "aggregate": lambda model: set(model.select(fn.array_agg(model.organization)).scalar()),
    "alias": lambda model: owners(model.alias().select()),
    "self join": lambda model: self_joined(model),
    "join to the organization": lambda model: {r[0] for r in model.select(Organization.id).join(Organization).tuples()},
    "sub-query": lambda model: owners(model.select().where(model.id.in_(model.select(model.id)))),
    "union": lambda model: owners(model.select() | model.select()),
    "CTE": lambda model: through_cte(model),
    "relations": lambda model: related(model),
    "prefetch": lambda model: owners(model.select().prefetch(Organization)),
}


def through_cte(model):
    rows = model.select().cte("rows")
    return {organization for (organization,) in rows.select_from(rows.c.organization_id).tuples()}


def self_joined(model):
    other = model.alias()
    rows = model.select(model.organization, other.organization).join(other, peewee.JOIN.CROSS).tuples()
    return {organization for row in rows for organization in row}


def related(model):
    """The organizations of all rows that foreign keys and back-references lead to."""
    rows = list(model.select())
    keys = [field for field in model._meta.refs if isinstance(field, TenantForeignKey)]
    targets = [getattr(row, key.name) for row in rows for key in keys if row.__data__[key.name] is not None]
    children = [child for row in rows for key in model._meta.backrefs if key.backref != "+" for child in back(row, key)]
    return owners([*rows, *targets, *children])


def back(row, key):
    return getattr(row, key.backref) if key.model in TENANT_MODELS else []


def test_every_tenant_model_has_a_maker():
    assert set(MAKERS) == set(TENANT_MODELS)


@pytest.mark.slow
@each_model
@walked("how", READS)
def test_a_read_gives_the_bound_tenants_rows_only(filled, model, how):
    for organization in (filled.a, filled.b):
        with filled.db.tenant(organization):
            assert READS[how](model) == {organization.id}


@pytest.mark.slow
@each_model
@walked("how", READS)
def test_a_read_raises_without_a_tenant(walled, model, how):
    with walled.nothing_sent(), pytest.raises(TenantNotSetError):
        READS[how](model)


@pytest.mark.slow
@each_model
def test_numbers_are_the_bound_tenants_own(filled, model):
    with filled.in_b():
        theirs = model.select(fn.MAX(model.id)).scalar()
        counts = {len(model), model.select().count(), len(model.select())}
        assert theirs in model
    with filled.privileged():
        assert counts == {model.select().where(model.organization == filled.b).count()}
    with filled.in_a():
        assert theirs not in model
        assert model.get_or_none(model.id == theirs) is None
        assert not model.select().where(model.id == theirs).exists()
        assert not model.select().where((model.organization == filled.b) | (model.id == theirs)).exists()
    for number in (lambda: len(model), model.select().count, model.select().exists, lambda: theirs in model):
        with pytest.raises(TenantNotSetError):
            number()


@pytest.mark.slow
@each_model
def test_an_insert_is_stamped_and_a_foreign_one_refused_before_any_sql(filled, model):
    with filled.in_a():
        made = MAKERS[model]()
        assert made.organization_id == filled.a.id
        copy = {name: value for name, value in made.__data__.items() if name not in ("id", "organization")}
        foreign = {
            name: value for name, value in copy.items() if not getattr(model._meta.fields[name], "generated", False)
        }
        with filled.nothing_sent():
            for insert in (
                lambda: model.create(**foreign, organization=filled.b),
                lambda: model.insert(foreign | {"organization": filled.b.id}).execute(),
                lambda: model.insert_many([foreign | {"organization_id": filled.b.id}]).execute(),
                lambda: model.bulk_create([model(**foreign, organization=filled.b)]),
            ):
                with pytest.raises(CrossTenantError):
                    insert()


@each_model
def test_an_instance_of_another_tenant_is_neither_saved_nor_deleted(filled, model):
    with filled.in_b():
        row = model.get()
    row._dirty.update(model._meta.fields)
    with filled.in_a(), filled.nothing_sent():
        for write in (row.save, row.delete_instance, lambda: row.delete_instance(recursive=True)):
            with pytest.raises(CrossTenantError):
                write()


@each_model
def test_no_statement_sets_the_organization(filled, model):
    with filled.in_a():
        row = model.get()
        with filled.nothing_sent():
            with pytest.raises(TenantImmutableError):
                model.update(organization=filled.b)
            with pytest.raises(TenantImmutableError):
                row.organization = filled.b


@pytest.mark.slow
@each_model
def test_a_delete_of_all_rows_leaves_another_tenants(filled, model):
    with filled.in_b():
        before = list(model.select().dicts())
    with filled.in_a(), pytest.raises(Undone), filled.db.atomic():
        try:
            model.delete().execute()
        except (PermissionDeniedError, peewee.IntegrityError):
            raise Undone from None
        assert model.select().count() == 0
        raise Undone
    with filled.in_b():
        assert list(model.select().dicts()) == before


ALSO = {
    Device: ("expires_at",),
    CreditLotMovement: ("amount",),
    CalendarFeed: ("last_read_at",),
    OutsideBusy: ("ends_at",),
    InvoiceCounter: ("last_number",),
    InvoiceLine: ("description",),
    StateTransition: ("event",),
}


@pytest.mark.slow
@each_model
def test_an_update_of_all_rows_leaves_another_tenants(filled, model):
    """What the grants let the tenant change at all, that is; journal and messages cannot be changed."""
    names = ("updated_at", "topic", "last_at", "used_at", *ALSO.get(model, ()))
    columns = [field for field in model._meta.sorted_fields if field.name in names]
    with filled.in_b():
        before = list(model.select().dicts())
    with filled.in_a():
        counts = {0, model.select().count()}
        if model is Invoice:  # those that are issued are shown and not changed
            counts.add(model.select().where(model.state == "draft").count())
        try:
            assert model.update({column: column for column in columns}).execute() in counts
        except PermissionDeniedError:
            assert model in (StateTransition, OutboxMessage, CreditLotMovement, OutsideBusy, InvoiceLine)
    with filled.in_b():
        assert list(model.select().dicts()) == before


@each_model
def test_every_key_between_tenant_models_stays_within_the_organization(model):
    for key, target in model._meta.refs.items():
        assert isinstance(key, TenantForeignKey) == issubclass(target, TenantModel)


class Undone(Exception):
    """Rolls the block back."""
