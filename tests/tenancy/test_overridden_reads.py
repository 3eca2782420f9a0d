"""Acceptance: a model may narrow its own reads. What its filter was the first time is not served the second."""

import threading
from contextvars import ContextVar, copy_context
from datetime import timedelta

import peewee
import pytest

from rayces_core import Organization, TenantForeignKey, TenantModel, clock
from rayces_core.fields import IntegerField, TextField, UTCDateTimeField
from rayces_core.tenancy.queries import TenantSelect
from tests.walking import walked

branch: ContextVar[int] = ContextVar("branch")
author: ContextVar[str] = ContextVar("author")


class Room(TenantModel):
    name = TextField()
    branch = IntegerField(null=True)
    hidden_at = UTCDateTimeField(null=True)
    language = TextField(null=True)
    made_by = TextField(null=True)

    class Meta:
        table_name = "rooms"


class BranchRoom(Room):
    class Meta:
        table_name = "rooms"

    @classmethod
    def select(cls, *fields):
        return super().select(*fields).where(cls.branch == branch.get())


class NarrowedSelect(TenantSelect):
    def __init__(self, model, fields, is_default=False, **options):
        super().__init__(model, fields, is_default, **options)
        self._where = model.branch == branch.get()


class ByQueryClassRoom(Room):
    _select_class = NarrowedSelect

    class Meta:
        table_name = "rooms"


class WritingItsOwnSelect(TenantSelect):
    def __sql__(self, ctx):
        # Text of the statement, not one of its values.
        return super(WritingItsOwnSelect, self.where(peewee.SQL(f"branch = {branch.get()}"))).__sql__(ctx)


class ByRenderingRoom(Room):
    _select_class = WritingItsOwnSelect

    class Meta:
        table_name = "rooms"


class ByGetRoom(Room):
    class Meta:
        table_name = "rooms"

    @classmethod
    def get(cls, *query, **filters):
        row = super().get(*query, **filters)
        if row.branch != branch.get():
            raise cls.DoesNotExist
        return row


class InheritedRoom(BranchRoom):
    class Meta:
        table_name = "rooms"


class TranslatedField(TextField):
    def __sql__(self, ctx):
        return ctx.sql(peewee.NodeList((self.column, peewee.SQL(f"|| ' of {branch.get()}'"))))


class TranslatedRoom(TenantModel):
    name = TranslatedField()

    class Meta:
        table_name = "rooms"


def keyed(room):
    """A model whose foreign key leads to `room`."""

    class Bed(TenantModel):
        room_ = TenantForeignKey(room, column_name="room_id", backref="beds")
        name = TextField(null=True)

        class Meta:
            table_name = "beds"

    return Bed


BEDS = {room: keyed(room) for room in (Room, BranchRoom, ByQueryClassRoom, ByRenderingRoom, ByGetRoom, InheritedRoom)}
narrowed = pytest.mark.parametrize("room", list(BEDS)[1:], ids=lambda room: room.__name__)

READS = {
    "get_by_id": lambda room, one: room.get_by_id(one.id),
    "get(id)": lambda room, one: room.get(one.id),
    "get(id ==)": lambda room, one: room.get(room.id == one.id),
    "get_or_none": lambda room, one: room.get_or_none(room.id == one.id),
    "the class's item": lambda room, one: room[one.id],
    "foreign key": lambda room, one: BEDS[room].get(BEDS[room].room_ == one.id).room_,
}
IN_LISTS = {
    "select": lambda room, one: room.select().where(room.id == one.id).first(),
    "exists": lambda room, one: one if room.select().where(room.id == one.id).exists() else None,
    "count": lambda room, one: one if room.select().where(room.id == one.id).count() else None,
    "in": lambda room, one: one if one.id in room else None,
    "get_or_create": lambda room, one: room.select().where(room.name == one.name, room.id == one.id).first(),
    "prefetch": lambda room, one: next(iter(peewee.prefetch(room.select(), BEDS[room].select())), None),
}


def found(read, room, one):
    try:
        return read(room, one)
    except peewee.DoesNotExist:
        return None


def two_rooms(room):
    made = [Room.create(name=f"of {number}", branch=number) for number in (1, 2)]
    for one in made:
        BEDS[room].create(room_=one.id, name=one.name)
    return made


@narrowed
@walked("how", READS)
def test_a_read_by_id_takes_the_filter_as_it_is_now(host_db, north, room, how):
    with host_db.tenant(north):
        rooms = two_rooms(room)
        for mine in (1, 2, 1):
            branch.set(mine)
            assert [found(READS[how], room, one) is not None for one in rooms] == [mine == 1, mine == 2]


@pytest.mark.slow
@walked("room", [BranchRoom, ByQueryClassRoom, ByRenderingRoom, InheritedRoom])
@walked("how", IN_LISTS)
def test_every_other_read_takes_the_filter_as_it_is_now(host_db, north, room, how):
    with host_db.tenant(north):
        rooms = two_rooms(room)
        for mine in (1, 2, 1):
            branch.set(mine)
            seen = [found(IN_LISTS[how], room, one) for one in rooms]
            if how == "prefetch":
                assert [one.branch for one in seen] == [mine, mine]
            else:
                assert [one is not None for one in seen] == [mine == 1, mine == 2]


def test_a_back_reference_takes_the_filter_as_it_is_now(host_db, north):
    class Wing(TenantModel):
        name = TextField()

        class Meta:
            table_name = "tags"

    class Narrow(TenantModel):
        wing = TenantForeignKey(Wing, column_name="branch", backref="rooms")
        name = TextField()

        class Meta:
            table_name = "rooms"

        @classmethod
        def select(cls, *fields):
            return super().select(*fields).where(cls.name == author.get())

    with host_db.tenant(north):
        wing = Wing.create(name="w")
        for name in ("ana", "eva"):
            Narrow.create(wing=wing, name=name)
        for name in ("ana", "eva", "ana"):
            author.set(name)
            assert [room.name for room in wing.rooms] == [name]


def test_what_hides_with_time_is_hidden_by_id_too(host_db, north):
    class Published(Room):
        class Meta:
            table_name = "rooms"

        @classmethod
        def select(cls, *fields):
            return super().select(*fields).where(cls.hidden_at > clock.now())

    start = clock.now()
    with host_db.tenant(north):
        room = Room.create(name="r", hidden_at=start + timedelta(hours=1))
        assert Published.get_by_id(room.id).name == "r"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clock, "now", lambda: start + timedelta(hours=2))
            assert list(Published.select()) == []
            with pytest.raises(Published.DoesNotExist):
                Published.get_by_id(room.id)


def test_a_filter_out_of_the_tenants_settings_is_each_tenants_own(host_db, north, south):
    class Text(Room):
        class Meta:
            table_name = "rooms"

        @classmethod
        def select(cls, *fields):
            return super().select(*fields).where(cls.language == Organization.select().get().settings["language"])

    for organization, language in ((north, "es"), (south, "pt"), (north, "es")):
        with host_db.tenant(organization):
            mine, other = (Room.create(name="x", language=each).id for each in (language, "xx"))
            assert Text.get_by_id(mine).language == language
            with pytest.raises(Text.DoesNotExist):
                Text.get_by_id(other)


def test_soft_deleted_rows_stay_away_and_come_back(host_db, north):
    class Kept(Room):
        class Meta:
            table_name = "rooms"

        @classmethod
        def select(cls, *fields):
            return super().select(*fields).where(cls.hidden_at.is_null())

    with host_db.tenant(north):
        room = Kept.create(name="r")
        for hidden in (clock.now(), None, clock.now()):
            Room.update(hidden_at=hidden).where(Room.id == room.id).execute()
            assert (Kept.get_or_none(Kept.id == room.id) is None) == (hidden is not None)


def test_two_threads_of_two_tenants_filter_each_by_its_own(host_db, north, south):
    together, wrong = threading.Barrier(2), []

    def work(organization, mine):
        branch.set(mine)
        with host_db.tenant(organization):
            rooms = two_rooms(BranchRoom)
            together.wait()
            for _ in range(20):
                seen = [found(READS["get_by_id"], BranchRoom, one) is not None for one in rooms]
                wrong.extend([] if seen == [mine == 1, mine == 2] else [seen])

    threads = [
        threading.Thread(target=copy_context().run, args=(work, organization, mine))
        for organization, mine in ((north, 1), (south, 2))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_field_that_writes_itself_is_written_anew_each_time(host_db, north):
    with host_db.tenant(north):
        key = Room.create(name="room").id
        for mine in (1, 2):
            branch.set(mine)
            assert TranslatedRoom.get_by_id(key).name == f"room of {mine}"
            assert [room.name for room in TranslatedRoom.select()] == [f"room of {mine}"]
            assert TranslatedRoom.select().where(TranslatedRoom.name == f"room of {mine}").count() == 1


def test_an_overridden_write_takes_its_value_as_it_is_now(host_db, north):
    class Signed(Room):
        class Meta:
            table_name = "rooms"

        @classmethod
        def insert(cls, data=None, **values):
            return super().insert({**(data or {}), **values, cls.made_by: author.get()})

        @classmethod
        def update(cls, data=None, **values):
            return super().update({**(data or {}), **values, cls.made_by: author.get()})

    with host_db.tenant(north):
        rooms = []
        for name in ("ana", "eva"):
            author.set(name)
            rooms.append(Signed.create(name="r"))
            assert Room.get_by_id(rooms[-1].id).made_by == name
        for room, name in zip(rooms, ("eva", "ana"), strict=True):
            author.set(name)
            room.name = "changed"
            assert room.save() == 1
            assert (Room.get_by_id(room.id).made_by, Room.get_by_id(room.id).name) == (name, "changed")


def test_a_default_is_asked_for_each_row(host_db, north):
    class Stamped(TenantModel):
        name = TextField(default=lambda: author.get())

        class Meta:
            table_name = "rooms"

    with host_db.tenant(north):
        for name in ("ana", "eva"):
            author.set(name)
            assert Room.get_by_id(Stamped.create().id).name == name
            assert Room.get_by_id(Stamped.insert().execute()).name == name


def test_columns_that_a_select_leaves_out_stay_out(host_db, north):
    class Narrow(Room):
        class Meta:
            table_name = "rooms"

        @classmethod
        def select(cls, *fields):
            return super().select(*(fields or (cls.id, cls.name)))

    with host_db.tenant(north):
        row = Narrow.get_by_id(Room.create(name="r", branch=7).id)
        assert (row.name, row.__data__.get("branch")) == ("r", None)


def test_only_reads_that_stay_the_same_are_rendered_once(host_db, north):
    def kept(room):
        return [shape for shape in room._meta.prepared if "find" in str(shape)]

    with host_db.tenant(north):
        key = Room.create(name="r", branch=1).id
        branch.set(1)
        for room in BEDS:
            assert room.get_by_id(key).name == "r"
    assert kept(Room)
    assert not any(kept(room) for room in list(BEDS)[1:] if room is not ByGetRoom)


def test_a_select_that_is_replaced_later_is_heard(host_db, north):
    class Early(Room):
        class Meta:
            table_name = "rooms"

    class Child(Early):
        class Meta:
            table_name = "rooms"

    with host_db.tenant(north):
        key = Room.create(name="r", branch=1).id
        assert Child.get_by_id(key) is not None
        narrow = Room.select.__func__
        Early.select = classmethod(lambda cls, *fields: narrow(cls, *fields).where(cls.branch == branch.get()))
        for mine in (1, 2, 1):
            branch.set(mine)
            for each in (Early, Child):
                assert (found(READS["get_by_id"], each, Room(id=key)) is not None) == (mine == 1)
