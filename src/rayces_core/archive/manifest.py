"""The manifest of an archive: of which library and schema it is, and what its files must be to the byte."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rayces_core.errors import ArchiveError

KIND: Final = "rayces-core tenant archive"
VERSION: Final = 1
NAME: Final = "manifest.json"
LIMIT_BYTES: Final = 4 * 1024 * 1024

Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableEntry(_Part):
    """What the manifest says of one table's file."""

    rows: Count
    bytes: Count
    sha256: Checksum
    columns: tuple[str, ...]


class OrganizationEntry(_Part):
    """The organization's own row."""

    subdomain: str
    content: dict[str, Any]


class Manifest(_Part):
    """All that an archive says of itself."""

    kind: Literal["rayces-core tenant archive"] = KIND
    version: Literal[1] = VERSION
    library: str
    migration: str | None
    created_at: str
    organization: OrganizationEntry
    ledger_discrepancies: Count
    content_sha256: Checksum
    tables: dict[str, TableEntry]

    @property
    def rows(self) -> dict[str, int]:
        """Table → number of its rows."""
        return {name: entry.rows for name, entry in self.tables.items()}


def file_of(table: str) -> str:
    """The name of a table's file in the archive."""
    return f"{table}.jsonl"


def parsed(archive: str, text: bytes) -> Manifest:
    """The manifest that `text` is.

    Raises:
        ArchiveError: it is none, or that of a newer library.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or NAME
        if where == "version" and isinstance(problem["input"], int) and problem["input"] > VERSION:
            raise ArchiveError(
                f"{archive}: the archive is of version {problem['input']}, this library reads {VERSION}; "
                "update rayces-core"
            ) from None
        raise ArchiveError(f"{archive}: this is no manifest of a tenant: {where}: {problem['msg']}") from None
