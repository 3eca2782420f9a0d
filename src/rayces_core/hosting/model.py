"""A registered model as files see it: values, references, states, and what its rows are known by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from rayces_core.archive.tables import quoted
from rayces_core.hosting.columns import Form
from rayces_core.hosting.references import Known, Part, Reference


@dataclass(frozen=True, slots=True)
class Value:
    """A field that a file has as it is: the field, its column in a file, its form, whether no row is without it."""

    field: Any
    name: str
    form: Form
    required: bool

    @property
    def column(self) -> str:
        """Its column in the table."""
        return str(self.field.column_name)


@dataclass(frozen=True, slots=True)
class Described:
    """A model and its fields; `keys` are those that a row is known by, `called` what its columns are called."""

    model: Any
    name: str
    keys: tuple[str, ...]
    values: list[Value] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    called: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The table's name in SQL."""
        schema = self.model._meta.schema
        return f"{f'{quoted(schema)}.' if schema else ''}{quoted(self.model._meta.table_name)}"

    def call(self, column: str, words: Iterable[str], example: str) -> None:
        """Note what a column of files is called besides, and what a template shows."""
        self.called[column] = (tuple(words), example)

    def key_values(self) -> list[Value]:
        """The values of the key."""
        return [value for value in self.values if value.field.name in self.keys]

    def key_references(self) -> list[Reference]:
        """The references of the key."""
        names = {self.model._meta.fields[name].column_name for name in self.keys}
        return [reference for reference in self.references if reference.column in names]

    def known(self) -> Known:
        """How rows of other models name one of these."""
        values, references = self.key_values(), self.key_references()
        single = len(values) + sum(len(each.known.parts) for each in references) == 1
        parts = [
            Part(
                value.column,
                value.form.read,
                value.form.type,
                value.form.kind,
                "" if single else f"_{value.name}",
                example=self.called[value.name][1] or value.form.example,
            )
            for value in values
        ]
        shown = [f"t.{quoted(value.column)}" for value in values]
        for reference in references:
            for part in reference.known.parts:
                name = reference.header(part)
                suffix = "" if single else f"_{name}"
                parts.append(replace(part, name=name, suffix=suffix))
                shown.append(f"{reference.exported(part)} AS {quoted(name)}")
        joins = " ".join(reference.export_join() for reference in references)
        columns = ", ".join(("t.id", "t.organization_id", *shown))
        return Known(self.name.removesuffix("s"), f"SELECT {columns} FROM {self.table} AS t {joins}", tuple(parts))
