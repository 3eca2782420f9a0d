"""How a row of a file names another row: by what people know it by, never by an id.

Rule it guards: a name that is nobody's, or several rows', is a problem of its row; it is never one of them by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rayces_core.archive.tables import quoted
from rayces_core.exporting.records.shape import Kind
from rayces_core.hosting.columns import Read
from rayces_core.importing import values
from rayces_core.importing.record import fault, folded
from rayces_core.importing.record import quoted as text
from rayces_core.models import Appointment, Post, Professional, Student, User


@dataclass(frozen=True, slots=True)
class Part:
    """One of the columns that a row is named by.

    Attributes:
        name: in `Known.rows`. suffix: what it is called behind the name of the reference. optional: whether it only
            tells rows apart that are called alike otherwise. folded: whether case, accents and blanks do not matter.
        example: what it may be.
    """

    name: str
    read: Read
    type: str
    kind: Kind = Kind.TEXT
    suffix: str = ""
    optional: bool = False
    folded: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Rows that others may name: what one of them is called, a SELECT of id, organization_id and parts."""

    noun: str
    rows: str
    parts: tuple[Part, ...]


_EMAIL: Final = Part("email", values.email, "varchar", example="ana.paz@example.org")
_USERS: Final = "SELECT id, organization_id, email FROM users"
_PROFESSIONALS: Final = """SELECT p.id, p.organization_id, u.email FROM professionals AS p
                             JOIN users AS u ON u.organization_id = p.organization_id AND u.id = p.user_id"""
_STUDENTS: Final = "SELECT id, organization_id, first_name, last_name, date_of_birth FROM students"
_APPOINTMENTS: Final = """SELECT a.id, a.organization_id, u.email, a.scheduled_at FROM appointments AS a
                            JOIN users AS u ON u.organization_id = a.organization_id AND u.id = a.professional_id"""
_POSTS: Final = """SELECT p.id, p.organization_id, u.email, p.created_at FROM posts AS p
                     JOIN users AS u ON u.organization_id = p.organization_id AND u.id = p.user_id"""

OURS: Final[Mapping[Any, Known]] = {
    User: Known("user", _USERS, (_EMAIL,)),
    Professional: Known("professional", _PROFESSIONALS, (_EMAIL,)),
    Student: Known(
        "student",
        _STUDENTS,
        (
            Part("first_name", values.name, "varchar", suffix="_first_name", folded=True, example="Luz"),
            Part("last_name", values.name, "varchar", suffix="_last_name", folded=True, example="Sosa"),
            Part("date_of_birth", values.date, "date", Kind.DATE, "_date_of_birth", optional=True),
        ),
    ),
    Appointment: Known(
        "appointment",
        _APPOINTMENTS,
        (
            Part("email", values.email, "varchar", suffix="_professional", example="eva.luna@example.org"),
            Part(
                "scheduled_at", values.moment, "timestamptz", Kind.MOMENT, "_scheduled_at", example="03/03/2026 14:00"
            ),
        ),
    ),
    Post: Known(
        "post",
        _POSTS,
        (
            Part("email", values.email, "varchar", suffix="_author", example="ana.paz@example.org"),
            Part("created_at", values.moment, "timestamptz", Kind.MOMENT, "_created_at", example="03/03/2026 14:00"),
        ),
    ),
}


def ours(field: Any) -> Known | None:
    """How rows of a model of ours are named that a foreign key leads to; an appointment's professional is a user."""
    if field.rel_model is Professional and field.rel_field.column_name == "user_id":
        return replace(OURS[Professional], rows=_PROFESSIONALS.replace("p.id", "p.user_id AS id"))
    return OURS.get(field.rel_model)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of a registered model: its column in the table, what it is called in a file, whom it names."""

    column: str
    name: str
    known: Known
    required: bool

    @property
    def alias(self) -> str:
        """What it is joined as."""
        return quoted(f"named_{self.column}")

    def header(self, part: Part) -> str:
        """The column of a file that has this part."""
        return f"{self.name}{part.suffix}"

    def joined(self) -> str:
        """A join over the staged rows `s` that finds whom each names: `many`, and `id` where it is one."""
        same = " AND ".join(self._same(part) for part in self.known.parts)
        return f"""LEFT JOIN (
            SELECT s2.row, count(*) AS many, (array_agg(k.id))[1] AS id
              FROM staged AS s2 JOIN ({self.known.rows}) AS k ON k.organization_id = %(tenant)s AND {same}
             GROUP BY s2.row) AS {self.alias} ON {self.alias}.row = s.row"""

    def _same(self, part: Part) -> str:
        said, held = f"s2.{quoted(self.header(part))}", f"k.{quoted(part.name)}"
        if part.folded:
            said, held = f"({folded(said)})", f"({folded(held)})"
        return f"({said} IS NULL OR {held} = {said})" if part.optional else f"{held} = {said}"

    @property
    def found(self) -> str:
        """The id of whom a row names, if that is one."""
        return f"CASE WHEN {self.alias}.many = 1 THEN {self.alias}.id END"

    @property
    def many(self) -> str:
        """The name in `resolved` of how many it names."""
        return quoted(f"many_{self.column}")

    def check(self) -> str:
        """A statement that notes the rows whose name is nobody's, or several rows'."""
        noun, first = self.known.noun, self.header(self.known.parts[0])
        said = " OR ".join(f"s.{quoted(self.header(part))} IS NOT NULL" for part in self.known.parts)
        several = (
            f"CASE WHEN r.{self.many} > 1 THEN r.{self.many} || {text(f' {noun}s of this organization are called so')}"
        )
        return fault(
            first,
            f"s.{quoted(first)}",
            f"{several} ELSE {text(f'no {noun} of this organization is called so')} END",
            text(f"correct it, or import the {noun}s first"),
            f"FROM resolved AS r JOIN staged AS s ON s.row = r.row WHERE ({said}) AND r.{quoted(self.column)} IS NULL "
            "AND NOT r.faulty",
        )

    def exported(self, part: Part) -> str:
        """The SQL of what an export shows of it."""
        return f"{self.alias}.{quoted(part.name)}"

    def export_join(self) -> str:
        """A join over rows `t` that brings whom they name."""
        on = f"{self.alias}.organization_id = t.organization_id AND {self.alias}.id = t.{quoted(self.column)}"
        return f"LEFT JOIN ({self.known.rows}) AS {self.alias} ON {on}"
