"""SQLAlchemy 2: declarative models, a session for each unit of work, its own pool."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg2.extensions import parse_dsn
from sqlalchemy import BigInteger, Computed, DateTime, String, Text, create_engine, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.contender import Contender
from bench.facts import COLUMNS, Facts


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """What the model is declared on."""

    type_annotation_map = {int: BigInteger, datetime: DateTime(timezone=True), str: String, dict[str, Any]: JSONB}


class Appointment(Base):
    """The table as SQLAlchemy sees it, with its real primary key."""

    __tablename__ = "appointments"

    organization_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    professional_id: Mapped[int]
    student_id: Mapped[int]
    client_id: Mapped[int]
    scheduled_at: Mapped[datetime]
    duration_minutes: Mapped[int] = mapped_column(default=60)
    buffer_minutes: Mapped[int] = mapped_column(default=0)
    occupied_until: Mapped[datetime | None] = mapped_column(Computed("made by the migration"))
    state: Mapped[str] = mapped_column(default="draft")
    pre_confirmed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    executed_at: Mapped[datetime | None]
    no_show_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancelled_by_id: Mapped[int | None]
    cancellation_reason: Mapped[str | None]
    notes: Mapped[str | None] = mapped_column(Text)
    professional_notes: Mapped[str | None] = mapped_column(Text)
    uses_credit: Mapped[bool] = mapped_column(default=False)
    credits_used: Mapped[int] = mapped_column(default=0)
    # `metadata` is a name that SQLAlchemy keeps for itself.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    idempotency_key: Mapped[str | None]
    request_fingerprint: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


COLUMN_ATTRIBUTES = [Appointment.details if name == "metadata" else getattr(Appointment, name) for name in COLUMNS]


class SQLAlchemyORM(Contender):
    """SQLAlchemy's ORM, with a filter by organization in each query."""

    name = "sqlalchemy"

    def __init__(self, url: str, facts: Facts) -> None:
        super().__init__(url, facts)
        self._engine = create_engine("postgresql+psycopg2://", connect_args=parse_dsn(url))
        self._own = facts.organization_id

    def close(self) -> None:
        self._engine.dispose()

    def plain(self, row: Any) -> dict[str, Any]:
        if isinstance(row, Appointment):
            return {
                name: getattr(row, attribute.key) for name, attribute in zip(COLUMNS, COLUMN_ATTRIBUTES, strict=True)
            }
        return dict(zip(COLUMNS, row.values() if isinstance(row, dict) else row, strict=True))

    def point_read(self, appointment_id: int) -> Any:
        with self._session() as session:
            return session.get(Appointment, (self._own, appointment_id))

    def list_50(self, professional_id: int) -> Any:
        mine = self._select(Appointment).where(Appointment.professional_id == professional_id)
        with self._session() as session:
            return session.scalars(mine.order_by(Appointment.scheduled_at.desc()).limit(50)).all()

    def insert(self, values: dict[str, Any]) -> Any:
        with self._session() as session:
            appointment = Appointment(organization_id=self._own, **values)
            session.add(appointment)
            session.commit()
            return appointment.id

    def load(self, ids: Sequence[int]) -> list[Any]:
        return [self.point_read(key) for key in ids]

    def save(self, appointment: Any, notes: str) -> None:
        with self._session() as session:
            session.add(appointment)
            appointment.notes, appointment.updated_at = notes, now()
            session.commit()

    def update(self, appointment_id: int, notes: str) -> None:
        mine = (Appointment.organization_id == self._own, Appointment.id == appointment_id)
        with self._session() as session:
            session.execute(update(Appointment).where(*mine).values(notes=notes, updated_at=now()))
            session.commit()

    def scan_models(self) -> Any:
        with self._session() as session:
            return session.scalars(self._select(Appointment)).all()

    def scan_tuples(self) -> Any:
        with self._session() as session:
            return session.execute(self._select(*COLUMN_ATTRIBUTES)).all()

    def scan_dicts(self) -> Any:
        with self._session() as session:
            return [row._asdict() for row in session.execute(self._select(*COLUMN_ATTRIBUTES))]

    def _session(self) -> Session:
        return Session(self._engine, expire_on_commit=False)

    def _select(self, *what: Any) -> Any:
        return select(*what).where(Appointment.organization_id == self._own)


CONTENDER = SQLAlchemyORM
