"""Acceptance: what would lead a model round a wall is refused when its class is made, with the way to do it."""

import peewee
import pytest
from playhouse import shortcuts, signals

from rayces_core import Organization, TenancyError, TenantForeignKey, TenantModel, User
from rayces_core.database.binding import database
from rayces_core.fields import IntegerField, TextField
from rayces_core.tenancy.definition import CheckedMetadata, withdraw
from rayces_core.tenancy.queries import TenantSelect
from rayces_core.tenancy.relations import TenantForeignKeyAccessor
from tests.walking import walked

STOCK = peewee.PostgresqlDatabase("elsewhere")
PROXY = peewee.DatabaseProxy()


class Elsewhere(peewee.Model):
    class Meta:
        database = STOCK


class OtherMetadata(peewee.Model):
    class Meta:
        model_metadata_class = shortcuts.ThreadSafeDatabaseMetadata


class NoKey(peewee.Model):
    class Meta:
        primary_key = False


class TwoColumns(peewee.Model):
    room, number = TextField(), TextField()

    class Meta:
        primary_key = peewee.CompositeKey("room", "number")


class Shared(peewee.Model):
    name = peewee.TextField()


class OwnTable(CheckedMetadata):
    @property
    def table(self):
        return peewee.Table(self.table_name)


def model(*bases, meta=None, **attributes):
    """A class of these bases whose Meta says `meta`."""
    inside = {"table_name": "rooms"} | (meta or {})
    return type(TenantModel)("Room", bases or (TenantModel,), {"Meta": type("Meta", (), inside)} | attributes)


REFUSED = {
    "a stock database": (lambda: model(meta={"database": STOCK}), "database"),
    "a proxy": (lambda: model(meta={"database": PROXY}), "database"),
    "a base's database": (lambda: model(Elsewhere, TenantModel), "Elsewhere"),
    "a later base's database": (lambda: model(TenantModel, Elsewhere), "Elsewhere"),
    "tables made elsewhere": (lambda: model(meta={"schema_options": {"database": STOCK}}), "migrations"),
    "Peewee's metadata": (lambda: model(meta={"model_metadata_class": peewee.Metadata}), "without the tenant"),
    "metadata of playhouse": (
        lambda: model(meta={"model_metadata_class": shortcuts.ThreadSafeDatabaseMetadata}),
        "ThreadSafeDatabaseMetadata",
    ),
    "a base's metadata": (lambda: model(OtherMetadata, TenantModel), "ThreadSafeDatabaseMetadata"),
    "metadata with a table of its own": (lambda: model(meta={"model_metadata_class": OwnTable}), "without the tenant"),
    "two columns as key": (
        lambda: model(number=TextField(), meta={"primary_key": peewee.CompositeKey("organization", "number")}),
        "one column as its key",
    ),
    "no key": (lambda: model(meta={"primary_key": False}), "one column as its key"),
    "a base without a key": (lambda: model(NoKey, TenantModel), "one column as its key"),
    "a base with two columns as key": (lambda: model(TwoColumns, TenantModel), "one column as its key"),
    "a temporary table": (lambda: model(meta={"temporary": True}), "migration"),
    "all columns saved": (lambda: model(meta={"only_save_dirty": False}), "only="),
    "another tenant column": (lambda: model(meta={"tenant_column": "branch_id"}), "organization_id"),
    "its own id as tenant": (lambda: model(meta={"tenant_column": "id", "tenant_field": "id"}), "organization_id"),
    "an organization of its own": (lambda: model(organization=TextField()), "organization"),
    "a key to Organization by that name": (lambda: model(organization=peewee.ForeignKeyField(Organization)), "already"),
    "a column by that name": (lambda: model(organization_id=IntegerField()), "already"),
    "a field on that column": (lambda: model(centre=IntegerField(column_name="organization_id")), "already"),
    "a base's field by that name": (
        lambda: model(type("Base", (peewee.Model,), {"organization": TextField()}), TenantModel),
        "already",
    ),
    "queries of Peewee's": (lambda: model(_select_class=peewee.ModelSelect), "TenantSelect"),
    "no organization": (lambda: model(validate_model=classmethod(lambda cls: None)), "super"),
    "hidden signals": (lambda: model(TenantModel, signals.Model), r"Room\(Model, TenantModel\)"),
    "a key's id by the organization's name": (
        lambda: model(user=TenantForeignKey(User, backref="+", object_id_name="organization_id")),
        "already",
    ),
    "a field that hides a method": (lambda: model(save=TextField()), r"column_name=\"save\""),
    "a field that hides what the library keeps": (lambda: model(_home=TextField()), "hide"),
    "a field that hides a method of Peewee's": (lambda: model(dirty_fields=TextField()), "hide"),
    "a key's id that hides a method": (
        lambda: model(user=TenantForeignKey(User, backref="+", object_id_name="select")),
        "object_id_name",
    ),
    "a tenants' key to rows of no organization": (
        lambda: model(shared=TenantForeignKey(Shared, backref="+")),
        "Shared is no TenantModel.*peewee.ForeignKeyField",
    ),
    "links kept by a plain model": (
        lambda: model(users=peewee.ManyToManyField(User, through_model=plain_links())),
        "TenantModel",
    ),
}


def plain_links():
    class Plain(peewee.Model):
        user = peewee.ForeignKeyField(User, backref="+")

    return Plain


@pytest.fixture(autouse=True)
def _leave_no_plain_links():
    yield
    for key in [key for key, child in User._meta.backrefs.items() if child.__name__ == "Plain"]:
        key.model._meta.remove_ref(key)


@walked("what", REFUSED)
def test_a_class_that_would_lead_round_a_wall_is_not_made(what):
    define, says = REFUSED[what]
    with pytest.raises(TenancyError, match=says) as caught:
        define()
    assert "Room" in str(caught.value)


def test_a_rayces_database_in_meta_is_refused_as_well(db):
    for named in (db, db.engine):
        with pytest.raises(TenancyError, match="and use `with"):
            model(meta={"database": named})


def test_a_database_is_not_set_later_either(db):
    room = model()
    for given in (STOCK, PROXY, db, db.engine):
        for bind in (
            lambda given=given: setattr(room._meta, "database", given),
            lambda given=given: room._meta.set_database(given),
            lambda given=given: room.bind(given),
            lambda given=given: room.bind_ctx(given).__enter__(),
        ):
            with pytest.raises(TenancyError, match="bound tenant"):
                bind()
    for bind in (lambda: STOCK.bind([room]), lambda: STOCK.bind_ctx([room]).__enter__()):
        with pytest.raises(TenancyError, match="bound tenant"):
            bind()
    assert room._meta.database is database


def test_a_class_that_was_refused_is_forgotten_by_the_models_it_named():
    before = dict(User._meta.backrefs)
    for more in ({"organization": TextField()}, {"_select_class": peewee.ModelSelect}):
        with pytest.raises(TenancyError):
            model(user=TenantForeignKey(User, backref="rooms_that_never_were"), **more)
        assert User._meta.backrefs == before
        assert not hasattr(User, "rooms_that_never_were")


# What a back-reference would hide: a field, the organization, methods, what the library keeps, another model's rows.
HIDDEN = [
    "email",
    "organization",
    "organization_id",
    "id",
    "save",
    "select",
    "_home",
    "_meta",
    "DoesNotExist",
    "likes",
]
KEYS = {
    "a tenants' key": lambda name: model(user=TenantForeignKey(User, backref=name)),
    "a plain key": lambda name: model(user=peewee.ForeignKeyField(User, backref=name)),
    "a plain model's": lambda name: type(peewee.Model)(
        "Room", (peewee.Model,), {"user": peewee.ForeignKeyField(User, backref=name)}
    ),
    "a key that is resolved later": lambda name: resolved(
        model(user=peewee.DeferredForeignKey("SomeUser", backref=name))
    ),
    "a field that is added later": lambda name: model()._meta.add_field("user", TenantForeignKey(User, backref=name)),
}


def resolved(room):
    room._meta.fields["user"].set_model(User)


@walked("name", HIDDEN)
@walked("way", KEYS)
def test_a_back_reference_hides_nothing_that_its_model_has(way, name):
    before, refs = dict(vars(User)), dict(User._meta.backrefs)
    try:
        with pytest.raises(TenancyError, match=rf"User\.{name} is something else already"):
            KEYS[way](name)
        assert dict(vars(User)) == before
        assert User._meta.backrefs == refs
    finally:
        peewee.DeferredForeignKey._unresolved.clear()


def test_a_class_may_be_made_anew_and_refers_back_anew():
    class Room(TenantModel):
        name = TextField()

    rooms = [model(parent=TenantForeignKey(Room, backref="inner")) for _ in range(2)]
    assert Room.inner.rel_model is rooms[1]
    with pytest.raises(TenancyError):
        model(parent=TenantForeignKey(Room, backref="inner"), organization=TextField())
    assert Room.inner.rel_model is rooms[1]


def test_a_subclass_of_a_model_of_ours_leaves_what_leads_back_to_ours():
    rows = User.likes.rel_model
    try:
        copy = type("Room", (rows,), {"Meta": type("Meta", (), {"table_name": "likes"})})
        assert User.likes.rel_model is rows
    finally:
        withdraw(copy)
    assert User.likes.rel_model is rows


def test_a_tenants_key_of_a_plain_model_is_a_plain_key(walled):
    class Plain(peewee.Model):
        user = TenantForeignKey(User, backref="plain_posts")

        class Meta:
            database = database
            table_name = "posts"

    try:
        with walled.in_a():
            post = Plain.get(Plain.id == walled.base)
            assert post.user.first_name == "ours"
            assert list(post.user.plain_posts) == [post]
            post.user = User.get_by_id(walled.base)
        Held = type("Room", (Plain, TenantModel), {"Meta": type("Meta", (), {"table_name": "posts"})})
        assert isinstance(vars(Held)["user"], TenantForeignKeyAccessor)
    finally:
        withdraw(Held)
        Plain._meta.remove_field("user")


def test_the_organization_of_a_model_is_neither_replaced_nor_removed():
    room = model(name=TextField())
    with pytest.raises(TenancyError, match="already"):
        room._meta.add_field("organization", TextField())
    with pytest.raises(TenancyError, match="whose a row is"):
        room._meta.remove_field("organization")
    assert "organization" in room._meta.fields


# -- what works -------------------------------------------------------------------------------------------------------


def test_the_database_may_be_named_as_none_or_as_what_is_bound():
    for named in (None, database):
        assert model(meta={"database": named})._meta.database is database


def test_another_schema_is_held_by_all_walls(host_db, north, south):
    room = model(name=TextField(), meta={"schema": "annex"})
    for organization in (north, south):
        with host_db.tenant(organization):
            room.create(id=1, name=organization.name)
    for organization in (north, south):
        with host_db.tenant(organization):
            assert room.get_by_id(1).name == organization.name
            assert [row.name for row in room.select().where(room.name != "")] == [organization.name]
            assert [row.name for row in room.alias().select()] == [organization.name]
            assert room.update(name="changed").execute() == 1
            assert room.delete().execute() == 1


def test_a_table_that_is_renamed_later_is_read_by_its_new_name(host_db, north):
    room = model(name=TextField())
    with host_db.tenant(north):
        key = room.create(name="room").id
        assert room.get_by_id(key).name == "room"
        room._meta.table_name = "tags"
        tag = room.create(name="tag").id
        assert room.get_by_id(tag).name == "tag"
        assert [row.name for row in room.select()] == ["tag"]


def test_a_table_name_may_come_from_a_function():
    named = type(TenantModel)(
        "Room", (TenantModel,), {"Meta": type("Meta", (), {"table_function": lambda kind: f"{kind.__name__.lower()}s"})}
    )
    assert named._meta.table_name == "rooms"


def test_a_plain_model_may_come_first_among_the_bases(host_db, north, south):
    heard = []

    class Announced(signals.Model, TenantModel):
        name = TextField()

        class Meta:
            table_name = "rooms"

    @signals.post_save(sender=Announced)
    def on_save(_, row, created):
        heard.append((row.name, created))

    with host_db.tenant(south):
        Announced.create(id=7, name="theirs")
    with host_db.tenant(north):
        room = Announced.create(id=7, name="ours")
        room.name = "changed"
        assert room.save() == 1
        assert [row.name for row in Announced.select()] == ["changed"]
        assert Announced.get_by_id(7).organization_id == north.id
    assert heard == [("theirs", True), ("ours", True), ("changed", False)]
    assert type(Announced.id) is type(TenantModel.id)


def test_a_plain_mixin_gives_its_fields_and_takes_no_wall():
    class Titled(peewee.Model):
        title = TextField()

    room = model(Titled, TenantModel)
    assert {"id", "title", "organization"} == set(room._meta.fields)
    assert (room._meta.database, room._meta.only_save_dirty) == (database, True)


def test_two_models_of_one_table_are_each_scoped(host_db, north, south):
    first, second = model(name=TextField()), model(name=TextField())
    with host_db.tenant(south):
        first.create(name="theirs")
    with host_db.tenant(north):
        first.create(name="ours")
        assert [row.name for row in second.select()] == ["ours"]


def test_a_query_class_of_ones_own_may_add_scopes(host_db, north):
    class Scopes(TenantSelect):
        def named(self, name):
            return self.where(self.model.name == name)

    room = model(name=TextField(), _select_class=Scopes)
    with host_db.tenant(north):
        room.create(name="one")
        assert room.select().named("one").get().name == "one"
        assert room.get_by_id(room.get().id).name == "one"


def test_noop_and_plain_tables_read_nothing_of_another_tenant(host_db, north, south):
    room = model(name=TextField())
    plain = peewee.Table("rooms", ("id", "organization_id", "name")).bind(host_db.engine)
    with host_db.tenant(south):
        room.create(name="theirs")
    with host_db.tenant(north):
        assert list(room.noop()) == []
        assert [row["name"] for row in plain.select(plain.name)] == []
