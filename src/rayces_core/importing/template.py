"""Example files that show how a record type is imported, and pass its check as they are.

Rule: what begins like a formula is never written as one.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Final

from rayces_core.errors import InvalidDataError, MissingExtraError
from rayces_core.importing.columns import Column

LANGUAGES: Final = ("en", "es")
FORMATS: Final = ("csv", "xlsx")
_SPANISH: Final = frozenset("áéíóúñ")
_SPANISH_WORDS: Final = frozenset(
    (
        *("de", "del", "nombre", "nombres", "apellido", "apellidos", "correo", "celular", "fecha"),
        *("nacimiento", "grado", "sala", "curso", "responsable", "contacto", "estado", "ingreso", "notas"),
        *("documentos", "rol", "activo", "precio", "moneda", "profesional", "alumno", "alumna", "estudiante"),
        *("cliente", "inicio", "hora", "cantidad", "referencia", "motivo", "contenido", "autor", "minutos"),
        *(
            "horario",
            "horarios",
            "especialidad",
            "tarifa",
            "zona",
            "valor",
            "subdominio",
            "horas",
            "evaluaciones",
            "familias",
        ),
        *("fechas", "descanso", "acepta", "usuario", "reservado", "vence", "confirmado", "realizado", "ausente"),
        *("cancelado", "creado", "turnos", "importe", "monto", "pagado", "trabaja", "espera", "cupo"),
        *("pedido", "decidido"),
    )
)
# Record type → what its rows have instead of the columns' own examples. The files pass one after the other, in the
# order of docs/importing.md: whoever is named in one is in a file before it.
_ROWS: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "users": (
        {},
        {
            "email": "eva.luna@example.org",
            "first_name": "Eva",
            "last_name": "Luna",
            "role": "professional",
            "phone": "",
        },
        {"email": "leo.paz@example.org", "first_name": "Leo", "phone": ""},
    ),
    "organizations": ({"subdomain": ""},),  # it would have to be the reader's own
}
_IN_SPANISH: Final = {
    "guardian": "responsable",
    "professional": "profesional",
    "enrolled": "inscripta",
    "executed": "realizado",
    "yes": "sí",
    "speech therapy": "fonoaudiología",
    "transfer": "transferencia",
    "opening balance": "saldo inicial",
    "monday, wednesday": "lunes, miércoles",
}


def examples(record: str, columns: Sequence[Column], language: str = "en") -> list[dict[str, str]]:
    """Give the example rows of a record type, column name → value; in Spanish where the values are read in it."""
    made = [
        {column.name: row.get(column.name, column.example) for column in columns} for row in _ROWS.get(record, ({},))
    ]
    if language == "es":
        made = [{name: _IN_SPANISH.get(value, value) for name, value in row.items()} for row in made]
    return made


def header(columns: Sequence[Column], language: str = "en") -> tuple[str, ...]:
    """Give the names of a template's columns: their own in English, the first Spanish one that is known in Spanish.

    Raises:
        InvalidDataError: there is no template in that language.
    """
    if language not in LANGUAGES:
        raise InvalidDataError("language", language, f"{language!r:.20} is none of {', '.join(LANGUAGES)}")
    return tuple(column.name if language == "en" else _spanish(column) for column in offered(columns))


def offered(columns: Sequence[Column]) -> list[Column]:
    """Give the columns that a template has."""
    return [column for column in columns if column.in_template]


def as_csv(
    columns: Sequence[Column], language: str = "en", rows: Sequence[Mapping[str, str]] = (), delimiter: str = ","
) -> str:
    """Give a template as the text of a CSV file.

    Args:
        rows: column name → value; without any, one row of the columns' own examples.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(header(columns, language))
    writer.writerows(_rows(columns, rows))
    return text.getvalue()


def write(
    target: str | os.PathLike[str] | IO[bytes],
    columns: Sequence[Column],
    *,
    format: str | None = None,  # noqa: A002 - the word that users know
    language: str = "en",
    rows: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write a template to a path or an open binary file, as CSV (UTF-8 with its mark, so that Excel reads it) or .xlsx.

    Args:
        format: "csv" or "xlsx"; None takes it from the name of the path.

    Raises:
        InvalidDataError: no such format or language.
        MissingExtraError: an .xlsx needs `rayces-core[importing]`.
    """
    wanted = format or (Path(os.fspath(target)).suffix.lstrip(".") if isinstance(target, str | os.PathLike) else "csv")
    if wanted.lower() not in FORMATS:
        raise InvalidDataError("format", wanted, f"{wanted!r:.20} is none of {', '.join(FORMATS)}")
    if wanted.lower() == "csv":
        content = as_csv(columns, language, rows).encode("utf-8-sig")
    else:
        content = _as_xlsx(columns, language, rows)
    if isinstance(target, str | os.PathLike):
        Path(target).write_bytes(content)
    else:
        target.write(content)


def _as_xlsx(columns: Sequence[Column], language: str, rows: Sequence[Mapping[str, str]]) -> bytes:
    try:
        xlsxwriter = import_module("xlsxwriter")
    except ImportError:
        raise MissingExtraError('A template as .xlsx needs: pip install "rayces-core[importing]"') from None
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False}) as workbook:
        sheet = workbook.add_worksheet("Plantilla" if language == "es" else "Template")
        bold, text = workbook.add_format({"bold": True}), workbook.add_format({"num_format": "@"})
        for place, (name, column) in enumerate(zip(header(columns, language), offered(columns), strict=True)):
            # As text, so that a program does not make a number of a phone or a date of its own.
            sheet.set_column(place, place, max(12, len(name) + 2), text)
            sheet.write_string(0, place, name, bold)
            if column.about:
                sheet.write_comment(0, place, column.about)
        for number, row in enumerate(_rows(columns, rows), 1):
            for place, value in enumerate(row):
                if value:
                    sheet.write_string(number, place, value, text)
        sheet.freeze_panes(1, 0)
    return content.getvalue()


def _rows(columns: Sequence[Column], rows: Sequence[Mapping[str, str]]) -> list[list[str]]:
    given = rows or [{column.name: column.example for column in columns}]
    return [[row.get(column.name, "") for column in offered(columns)] for row in given]


def _spanish(column: Column) -> str:
    return next((name for name in column.names if _is_spanish(name)), column.name)


def _is_spanish(name: str) -> bool:
    lower = name.lower()
    return not _SPANISH.isdisjoint(lower) or not _SPANISH_WORDS.isdisjoint(lower.split())
