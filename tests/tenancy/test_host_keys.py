"""Acceptance: a host's rows may have keys of other kinds, and keys that lead to them."""

import uuid

import peewee
import pytest

from rayces_core import CrossTenantError, TenantForeignKey, TenantModel
from rayces_core.fields import TextField
from tests.walking import walked


class Document(TenantModel):
    id = peewee.UUIDField(primary_key=True, default=uuid.uuid4)
    title = TextField(null=True)

    class Meta:
        table_name = "documents"


class Page(TenantModel):
    document = TenantForeignKey(Document, backref="pages", null=True)
    body = TextField(null=True)

    class Meta:
        table_name = "pages"


class Label(TenantModel):
    code = peewee.CharField(20, primary_key=True)
    title = TextField(null=True)

    class Meta:
        table_name = "labels"


class Sticker(TenantModel):
    label = TenantForeignKey(Label, backref="stickers", null=True)

    class Meta:
        table_name = "stickers"


class Ticket(TenantModel):
    number = peewee.AutoField()
    title = TextField(null=True)

    class Meta:
        table_name = "tickets"


class Room(TenantModel):
    name = TextField()

    class Meta:
        table_name = "rooms"


class PlainKeyBed(TenantModel):
    room = peewee.ForeignKeyField(Room, backref="plain_beds", null=True)
    name = TextField(null=True)

    class Meta:
        table_name = "beds"


class DeferredBed(TenantModel):
    room = peewee.DeferredForeignKey("LateRoom", backref="late_beds", null=True)
    name = TextField(null=True)

    class Meta:
        table_name = "beds"


class LateRoom(TenantModel):
    name = TextField()

    class Meta:
        table_name = "rooms"


KEYED = {"uuid": (Document, Page, "document"), "text": (Label, Sticker, "label")}
keyed = pytest.mark.parametrize("kind", KEYED)


def new(model, number):
    return model.create(title="t", **({"code": f"c{number}"} if model is Label else {}))


@keyed
def test_a_key_of_another_type_is_followed_changed_and_updated_in_bulk(host_db, north, kind):
    model, child, name = KEYED[kind]
    with host_db.tenant(north):
        first, second = new(model, 1), new(model, 2)
        one = child.create(**{name: first})
        child.bulk_create([child(**{name: first}), child(**{name: second})])
        setattr(one, name, second)
        assert one.save() == 1
        setattr(one, name, first)
        assert child.bulk_update([one], [name]) == 1
        assert getattr(child.get_by_id(one.id), name) == first
        assert getattr(child.get_by_id(one.id), f"{name}_id") == first._pk
        assert child.update({name: second}).where(getattr(child, name) == first).execute() == 2
        assert getattr(second, f"{child.__name__.lower()}s").count() == 3
        setattr(one, name, None)
        assert child.bulk_update([one], [name]) == 1
        assert getattr(child.get_by_id(one.id), name) is None


@keyed
def test_a_key_of_another_type_reads_and_deletes_by_id(host_db, north, kind):
    model = KEYED[kind][0]
    with host_db.tenant(north):
        row = new(model, 1)
        assert model.get_by_id(row._pk) == row
        assert model[row._pk] == row
        assert model.get(model._meta.primary_key == row._pk) == row
        assert model.set_by_id(row._pk, {"title": "changed"}) == 1
        assert model.get_by_id(row._pk).title == "changed"
        assert model.insert_many([new_values(model, n) for n in (8, 9)]).execute()
        assert model.delete_by_id(row._pk) == 1
        assert model.get_or_none(model._meta.primary_key == row._pk) is None


def new_values(model, number):
    return {"title": "m", **({"code": f"c{number}"} if model is Label else {})}


@keyed
def test_a_foreign_key_has_the_type_of_the_key_it_names(kind):
    model, child, name = KEYED[kind]
    assert child._meta.fields[name].field_type == model._meta.primary_key.field_type
    assert child._meta.fields[name].get_modifiers() == model._meta.primary_key.get_modifiers()


def test_a_counted_key_may_have_another_name(host_db, north, south):
    with host_db.tenant(south):
        theirs = Ticket.create(title="theirs")
    with host_db.tenant(north):
        ticket = Ticket.create(title="ours")
        assert Ticket.get_by_id(ticket.number).title == "ours"
        ticket.title = "changed"
        assert ticket.save() == 1
        assert [row.title for row in Ticket.select()] == ["changed"]
        assert Ticket.get_or_none(theirs.number) is None
        assert ticket.delete_instance() == 1


@walked("room, bed, backref", [(Room, PlainKeyBed, "plain_beds"), (LateRoom, DeferredBed, "late_beds")])
def test_a_plain_or_deferred_foreign_key_stays_within_the_organization(host_db, north, south, room, bed, backref):
    """Ids coincide, so privileged work would find the other organization's rows by id alone."""
    key = uuid.uuid4().int % 10**9 + 10**9
    for organization in (north, south):
        with host_db.tenant(organization):
            room.create(id=key, name=organization.name)
            bed.create(id=key, room=key, name=organization.name)
    with host_db.privileged(reason="test"):
        for organization in (north, south):
            own = bed.get(bed.organization == organization, bed.id == key)
            assert own.room.name == organization.name
            assert [each.name for each in getattr(own.room, backref)] == [organization.name]
    with host_db.tenant(south):
        theirs = room.get_by_id(key)
    with host_db.tenant(north):
        mine = bed.get_by_id(key)
        with pytest.raises(CrossTenantError):
            mine.room = theirs
