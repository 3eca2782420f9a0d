"""What cannot be a record type is refused when it is registered."""

from __future__ import annotations

import peewee
import pytest
from playhouse.postgres_ext import HStoreField

from rayces_core import Student, TenantForeignKey, TenantModel, hosting
from rayces_core.errors import ConfigurationError
from rayces_core.exporting import RECORDS as EXPORTED
from rayces_core.fields import BigIntegerField, StringField, TextField
from rayces_core.importing.records import record_of
from tests.hosting.conftest import Bill, Room, Stay
from tests.walking import walked

pytestmark = pytest.mark.usefixtures("unregistered")


class Keyed(TenantModel):
    id = peewee.UUIDField(primary_key=True)
    name = StringField()


class Tagged(TenantModel):
    tags = HStoreField()
    name = StringField()


class Seat(TenantModel):
    row = StringField()


class Twice(TenantModel):
    price = BigIntegerField()
    price_cents = BigIntegerField()


class Odd(TenantModel):
    name = TextField(column_name="Ñame")


class OtherStudent(TenantModel):
    name = TextField()

    class Meta:
        table_name = "students"


class Beside(TenantModel):
    stay = TenantForeignKey(Stay, backref="+")


REFUSED = {
    "no model": (dict, {"key": "name"}, "is no TenantModel"),
    "ours": (Student, {"key": "first_name"}, "record type of this library already"),
    "ours by another model": (OtherStudent, {"key": "name"}, "record type of this library already"),
    "another kind of key": (Keyed, {"key": "name"}, "numbered `id`"),
    "no such field": (Room, {"key": "title"}, "no field title that key names"),
    "no such word": (Room, {"key": "name", "words": {"title": ("sala",)}}, "no field title that words names"),
    "no key": (Room, {"key": ()}, "name one or more"),
    "a key that is left out": (Room, {"key": "name", "leave_out": ["name"]}, "key names the fields"),
    "a kind of field that no file has": (Tagged, {"key": "name"}, 'is a HStoreField; or leave_out=\\["tags"\\]'),
    "what is not registered": (Beside, {"key": "stay"}, "refers to Stay, which is not registered"),
    "a name that imports need": (Seat, {"key": "row"}, "no file can have a column 'row'"),
    "two fields of one name": (Twice, {"key": "price"}, "two fields would be the column price"),
    "an odd name": (Odd, {"key": "name"}, "no file can have a column 'Ñame'"),
    "another's name": (Room, {"key": "name", "name": "students"}, "cannot name the record type"),
    "no plain name": (Room, {"key": "name", "name": "class rooms"}, "cannot name the record type"),
}


@walked("case", REFUSED)
def test_what_cannot_be_a_record_type_is_refused(case: str) -> None:
    model, options, said = REFUSED[case]
    with pytest.raises(ConfigurationError, match=said):
        hosting.register(model, **options)
    assert not set(EXPORTED) & {"rooms", "keyed", "seat"}


def test_a_field_may_be_left_out(unregistered: None) -> None:
    hosting.register(Tagged, key="name", leave_out=["tags"])
    assert [column.name for column in record_of(Tagged).columns] == ["name", "id"]


def test_again_it_is_described_anew() -> None:
    hosting.register(Room, key="name")
    hosting.register(Room, key="name", name="halls")
    assert record_of("halls").model is Room
    with pytest.raises(ConfigurationError):
        record_of("rooms")
    assert hosting.registered() == (Room,)


def test_a_reference_stands_by_what_its_row_is_known_by() -> None:
    hosting.register(Room, key="name")
    hosting.register(Stay, key=("room", "number"))
    hosting.register(Bill, key="stay")
    assert [column.name for column in record_of(Bill).columns] == ["total", "stay_number", "stay_room", "id"]
