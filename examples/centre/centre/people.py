"""People: who may be entered twice, and who asks to be forgotten."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from centre.pages import PageRoute, back, known_students, page, words_of
from centre.web import db, rayces
from rayces_core import Role, Student, User, people

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Id = Annotated[int, Form(gt=0)]
Number = Annotated[int, Query(gt=0)]
Checked = Annotated[bool, Form()]


@router.get("/people")
def found(request: Request, me: Staff) -> Response:
    known = User.visible_to(me).where(User.merged_into.is_null(), User.erased_at.is_null())
    return page(
        request,
        "people.html",
        me,
        pairs=[(each.users[0], other, each.common) for each in people.duplicates() for other in each.users[1:]],
        users=list(known.order_by(User.last_name, User.first_name)),
        students=list(known_students(me).order_by(Student.last_name, Student.first_name)),
    )


@router.get("/people/preview")
def preview(request: Request, me: Staff, keep: Number, duplicate: Number) -> Response:
    would = people.preview_merge(keep, duplicate, by=me)
    both = User.get_by_id(keep), User.get_by_id(duplicate)
    return page(request, "merge.html", me, would=would, both=both, credits=sum(would.credits.values()))


@router.post("/people/merge")
def merge(request: Request, me: Staff, keep: Id, duplicate: Id) -> Response:
    done = people.merge_users(keep, duplicate, by=me)
    return back("/people", words_of(request)("merged", credits=sum(done.credits.values())))


@router.post("/people/erase")
def erase(request: Request, me: Staff, user: Id, cancel: Checked = False, forfeit: Checked = False) -> Response:
    people.erase_user(db, user, by=me, cancel=cancel, forfeit=forfeit)
    return back("/people", words_of(request)("erased"))


@router.post("/people/erase-student")
def erase_student(request: Request, me: Staff, student: Id, cancel: Checked = False) -> Response:
    people.erase_student(db, student, by=me, cancel=cancel)
    return back("/people", words_of(request)("erased"))
