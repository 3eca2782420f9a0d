"""Acceptance: many-to-many relations without a through model of one's own link rows of one organization only."""

import itertools

import peewee
import pytest

from rayces_core import (
    CrossTenantError,
    DuplicateError,
    ReferenceNotFoundError,
    TenancyError,
    TenantForeignKey,
    TenantModel,
    TenantNotSetError,
)
from rayces_core.fields import TextField

_ids = itertools.count(10**9, 10)


class Tag(TenantModel):
    name = TextField()

    class Meta:
        table_name = "tags"


class Room(TenantModel):
    name = TextField()
    tags = peewee.ManyToManyField(Tag, backref="rooms")

    class Meta:
        table_name = "rooms"


class DeferredTag(TenantModel):
    name = TextField()

    class Meta:
        table_name = "tags"


Deferred = peewee.DeferredThroughModel()


class DeferredRoom(TenantModel):
    name = TextField()
    tags = peewee.ManyToManyField(DeferredTag, backref="rooms", through_model=Deferred)

    class Meta:
        table_name = "rooms"


class DeferredLink(TenantModel):
    room = TenantForeignKey(DeferredRoom)
    tag = TenantForeignKey(DeferredTag)

    class Meta:
        table_name = "rooms_tags_through"


Deferred.set_model(DeferredLink)

each_kind = pytest.mark.parametrize("room, tag", [(Room, Tag), (DeferredRoom, DeferredTag)], ids=["made", "deferred"])


@pytest.fixture
def twins(host_db, north, south):
    """Two organizations, each with a room and a tag of the same ids, linked."""
    key = next(_ids)
    for organization in (south, north):
        with host_db.tenant(organization):
            Room.create(id=key, name=organization.name).tags.add(Tag.create(id=key, name=organization.name))
    return key


def names(query):
    return [row.name for row in query]


def test_the_through_model_is_a_tenants_model():
    through = Room.tags.get_through_model()
    assert issubclass(through, TenantModel)
    assert through._meta.table_name == "rooms_tags_through"
    assert set(through._meta.columns) == {"id", "organization_id", "room_id", "tag_id"}
    assert {type(key).__name__ for key in through._meta.refs} == {"TenantForeignKey", "OrganizationKey"}
    (unique,) = (index for index in through._meta.fields_to_index() if index._unique)
    assert [column.column_name for column in unique._expressions] == ["organization_id", "room_id", "tag_id"]
    assert Tag.rooms.get_through_model() is through


@each_kind
def test_links_are_read_made_and_parted_within_the_tenant(host_db, north, south, twins, room, tag):
    through = room.tags.get_through_model()
    with host_db.tenant(north):
        mine = room.get_by_id(twins)
        assert names(mine.tags) == names(tag.get_by_id(twins).rooms) == [north.name]
        assert through.select().count() == 1
        more = tag.create(name="more")
        mine.tags.add([more])
        assert mine.tags.count() == 2
        assert mine.tags.remove(more) == 1
        mine.tags.add(tag.select().where(tag.id == more.id))
        mine.tags = [more.id]
        assert names(mine.tags) == ["more"]
        assert mine.tags.clear() == 1
        assert list(mine.tags) == []
    with host_db.tenant(south):
        assert names(room.get_by_id(twins).tags) == [south.name]


@each_kind
def test_links_of_another_tenant_are_out_of_reach(host_db, north, south, twins, room, tag):
    with host_db.tenant(south):
        theirs, their_tag = room.get_by_id(twins), tag.get_by_id(twins)
        only_theirs = tag.create(name="only theirs")
    with host_db.tenant(north):
        mine = room.get_by_id(twins)
        for attempt in (
            lambda: list(theirs.tags),
            lambda: theirs.tags.add(twins),
            lambda: theirs.tags.clear(),
            lambda: mine.tags.add(their_tag),
            lambda: mine.tags.remove(their_tag),
            lambda: setattr(mine, "tags", [their_tag]),
        ):
            with pytest.raises(CrossTenantError):
                attempt()
        with pytest.raises(ReferenceNotFoundError):
            mine.tags.add(only_theirs.id)
        assert names(mine.tags) == [north.name]


def test_links_that_could_not_be_replaced_stay(host_db, north, twins):
    with host_db.tenant(north):
        mine = Room.get_by_id(twins)
        with pytest.raises(ReferenceNotFoundError):
            mine.tags = [10**15]
        assert names(mine.tags) == [north.name]
        with pytest.raises(DuplicateError):
            mine.tags.add(twins)


def test_a_query_of_links_is_read_anew_in_each_tenants_block(host_db, north, south, twins):
    with host_db.tenant(north):
        query = Room.get_by_id(twins).tags
        assert names(query) == [north.name]
    with host_db.tenant(south):
        assert south.name in names(query)
        assert north.name not in names(query)
    with pytest.raises(TenantNotSetError):
        names(query)


def test_privileged_work_reads_links_of_the_rows_organization_and_changes_none(host_db, north, south, twins):
    with host_db.privileged(reason="test"):
        for organization in (north, south):
            room = Room.get(Room.organization == organization, Room.id == twins)
            assert names(room.tags) == [organization.name]
            for change in (lambda: room.tags.clear(), lambda: room.tags.add(1), lambda: room.tags.remove(1)):  # noqa: B023
                with pytest.raises(TenancyError, match="bind the tenant"):
                    change()


def test_links_are_prefetched_through_their_model(host_db, north, twins):
    through = Room.tags.get_through_model()
    with host_db.tenant(north):
        rooms = peewee.prefetch(Room.select(), through.select(), Tag.select())
        assert [tag.name for room in rooms for tag in room.tags] == [north.name]


def test_rows_of_one_model_need_a_through_model_of_ones_own():
    class Person(TenantModel):
        name = TextField()

    with pytest.raises(TenancyError, match="two TenantForeignKeys"):
        Person._meta.add_field("friends", peewee.ManyToManyField(Person))


def test_links_to_rows_that_all_tenants_share_are_the_tenants_own(host_db):
    class Country(peewee.Model):
        name = peewee.TextField()

    class Trip(TenantModel):
        countries = peewee.ManyToManyField(Country)

    through = Trip.countries.get_through_model()
    assert issubclass(through, TenantModel)
    assert through.country.rel_model is Country
