"""Every write of the library's models, one after the other, on an adopted database; what is refused is said.

`refused_writes(database, "north")` is empty where all of them work. Rows that are made are the walk's own and are
deleted where the model lets them be, so it may be walked again; `writes_of_several` adds a second organization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

from rayces_core import (
    Appointment,
    Database,
    Like,
    Organization,
    Post,
    Professional,
    RaycesError,
    Role,
    Student,
    User,
    clock,
    credits,
    scheduling,
)
from rayces_core.models import TENANT_MODELS
from tests.factory import MAKERS

# Longer than varchar(255), shorter than an index's entry; all of it differs, so no compression helps.
LONG = "".join(f"{number:x}." for number in range(150))
OPEN = {
    day: [{"start": "00:00", "end": "24:00"}]
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
}
# What may be empty, and what may be long.
TEXTS = {
    User: ("uid", "provider", "first_name", "last_name", "phone", "jti"),
    Post: ("content",),
}
# Deleted in this order, as one refers to the other.
DELETED = (Like, Post, User)

Write = tuple[str, Callable[[], object]]


def refused_writes(database: Database, organization: Organization | str) -> dict[str, str]:
    """Write → what refused it, for every write of every model within this organization."""
    refused: dict[str, str] = {}
    with database.tenant(organization):
        for name, write in _writes(database):
            try:
                with database.atomic():
                    write()
            except Exception as error:
                refused[name] = f"{type(error).__name__}: {error}"
    return refused


def writes_of_several(database: Database, organization: Organization | str) -> dict[str, str]:
    """The same in this organization and in a new one, where people have the same addresses, tokens and posts."""
    other = database.create_organization("Elsewhere", subdomain=f"else-{uuid4().hex[:8]}")
    refused = {f"here: {name}": error for name, error in refused_writes(database, organization).items()}
    refused |= {f"elsewhere: {name}": error for name, error in refused_writes(database, other).items()}
    return refused | _shared(database, organization, other)


def _shared(database: Database, here: Organization | str, there: Organization) -> dict[str, str]:
    """What both organizations may have at once: nothing of a person is unique beyond an organization."""
    same, refused = {"email": f"same.{uuid4().hex}@example.org", "uid": uuid4().hex, "provider": "google"}, {}
    for where in (here, there):
        with database.tenant(where):
            try:
                Post.create(user=User.create(**same, jti="same"), content="same")
            except RaycesError as error:
                refused["the same person in both"] = f"{type(error).__name__}: {error}"
    for where in (here, there):
        with database.tenant(where):
            User.delete().where(User.email == same["email"]).execute()
    return refused


def _writes(database: Database) -> Iterator[Write]:
    yield from _social()
    yield from _people_and_sessions(database)
    for model in TENANT_MODELS:
        yield f"{model.__name__}: made with what it needs", MAKERS[model]


def _address() -> str:
    return f"walk.{uuid4().hex}@example.org"


def _social() -> Iterator[Write]:
    """Users, posts and likes: the three tables that another application had before."""
    made: dict[str, Any] = {}

    def keep(name: str, make: Callable[[], object]) -> Callable[[], object]:
        return lambda: made.__setitem__(name, make())

    yield "User: with an address only", keep("user", lambda: User.create(email=_address()))
    yield "User: with an address only, a second time", keep("other", lambda: User.create(email=_address()))
    yield "User: many at once", lambda: User.insert_many([{"email": _address()} for _ in range(3)]).execute()
    everything = dict.fromkeys(TEXTS[User])
    yield "User: without all that may be empty", lambda: User.create(email=_address(), **everything)
    yield (
        "User: with long texts",
        lambda: User.create(
            email=f"{LONG[:280]}{uuid4().hex[:8]}@e.org".replace("..", "."),
            **{name: f"{name}{uuid4().hex}{LONG}" for name in TEXTS[User]},
        ),
    )
    yield (
        "User: the same account elsewhere twice",
        lambda: [User.create(email=_address(), uid=f"twice {name}", provider=name) for name in ("google", "github")],
    )
    yield "Post: with its author only", keep("post", lambda: Post.create(user=made["user"]))
    yield "Post: a second one", keep("second", lambda: Post.create(user=made["user"], content="again"))
    yield "Post: without content", lambda: Post.create(user=made["user"], content=None)
    yield "Post: with a long one", lambda: Post.create(user=made["user"], content=LONG * 20)
    yield "Like: of a post", keep("like", lambda: Like.create(user=made["user"], post=made["post"]))
    yield "Like: of its second reader", lambda: Like.create(user=made["other"], post=made["post"])
    yield "Like: of a second post", lambda: Like.create(user=made["user"], post=made["second"])
    yield from _changes(made)
    yield "Like: deleted", lambda: made["like"].delete_instance()
    yield "Post: deleted with its likes", lambda: made["post"].delete_instance()
    yield "User: deleted with posts and likes", lambda: made["user"].delete_instance()
    for model in DELETED:
        yield f"{model.__name__}: deleted by a query", lambda model=model: model.delete().where(model.id < 0).execute()


def _changes(made: dict[str, Any]) -> Iterator[Write]:
    def changed(name: str, **columns: Any) -> Callable[[], object]:
        def change() -> object:
            row = made[name]
            for column, value in columns.items():
                setattr(row, column, value)
            return row.save()

        return change

    for column in TEXTS[User]:
        yield f"User: {column} emptied", changed("user", **{column: None})
        yield f"User: {column} made long", changed("user", **{column: f"{column}{uuid4().hex}{LONG}"})
    yield "User: another address", changed("user", email=_address())
    now = clock.now()
    signed_in = {"sign_in_count": 3, "current_sign_in_at": now, "last_sign_in_at": now}
    addresses = {"current_sign_in_ip": "192.0.2.1", "last_sign_in_ip": "2001:db8::1"}
    yield "User: signed in", changed("user", **signed_in, **addresses)
    yield (
        "User: another role",
        lambda: User.update(role=Role.STAFF, updated_at=now).where(User.id == made["user"].id).execute(),
    )
    yield "User: an id of another program", changed("user", external_id=uuid4().hex)
    yield "Post: other content", changed("post", content="other")
    yield "Post: made long", changed("post", content=LONG * 20)
    yield "Post: emptied", changed("post", content=None)
    yield "Post: another author", changed("second", user=made.get("other"))
    yield "Like: another time", changed("like", updated_at=now)
    yield (
        "Post: written or changed",
        lambda: (
            Post.insert(id=made["post"].id, user=made["user"], content="upserted")
            .on_conflict(conflict_target=[Post.organization, Post.id], update={Post.content: "upserted"})
            .execute()
        ),
    )
    yield "Like: written once", lambda: Like.insert(user=made["user"], post=made["post"]).on_conflict_ignore().execute()


def _people_and_sessions(database: Database) -> Iterator[Write]:
    """A professional, a student, a session that is booked, confirmed and paid with credits."""
    made: dict[str, Any] = {}

    def people() -> None:
        made["admin"] = User.create(email=_address(), role=Role.ADMIN)
        made["client"] = User.create(email=_address())
        made["professional"] = User.create(email=_address(), role=Role.PROFESSIONAL)
        made["profile"] = Professional.create(user=made["professional"], weekly_schedule=OPEN)
        made["student"] = Student.create(first_name="Luz", last_name="Sosa", primary_contact=made["client"])

    def book() -> None:
        now = clock.now()
        slots = scheduling.free_slots(made["professional"], now, now + timedelta(days=7))
        made["appointment"] = scheduling.book(
            student=made["student"],
            professional=made["professional"],
            client=made["client"],
            scheduled_at=slots[len(slots) // 2].start,
            by=made["client"],
            uses_credit=True,
        )

    def see() -> None:
        assert Appointment.get_by_id(made["appointment"].id).state == "confirmed"
        assert credits.balance(made["client"]) == 5 - 1
        assert credits.verify().is_clean

    def change_people() -> None:
        made["profile"].title = "Lic."
        made["profile"].save()
        made["student"].first_name = "Lucía"
        made["student"].save()

    yield "a professional, a student and their users", people
    yield (
        "credits: bought",
        lambda: credits.purchase(made["client"], 5, payment_method="mp", payment_reference=uuid4().hex),
    )
    yield "a session: booked", book
    yield "a session: confirmed", lambda: made["appointment"].confirm(by=made["admin"])
    yield "a session: as it has to be", see
    yield "a professional and a student: changed", change_people
