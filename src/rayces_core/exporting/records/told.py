"""Records of what was said, done and set."""

from __future__ import annotations

from typing import Final

from rayces_core.exporting.records.shape import (
    BOOLEAN,
    DOCUMENT,
    ID,
    INTEGER,
    MOMENT,
    STAMPS,
    TEXT,
    Column,
    Record,
    columns,
    joined,
    setting,
)
from rayces_core.models import Like, Notice, Organization, Post, StateTransition

NUMBERS_OF_SETTINGS: Final = (
    *("cancellation_notice_hours", "confirmation_hours", "booking_window_days", "minimum_notice_minutes"),
    *("start_every_minutes", "open_holds_per_client", "future_sessions_per_client"),
    *("correction_days", "reminder_quiet_minutes", "calendar_past_days", "calendar_days_ahead"),
)

TOLD: Final = (
    Record(
        "posts",
        Post,
        (Column("author", "u.email"), *columns("content"), *columns("created_at", MOMENT), *ID, STAMPS[1]),
        joins=joined("user_id", "u"),
        people=("author",),
    ),
    Record(
        "likes",
        Like,
        (
            Column("user", "u.email"),
            Column("author", "a.email"),
            Column("post_created_at", "p.created_at", MOMENT),
            Column("post_content", "p.content"),
            *columns("created_at", MOMENT),
            *columns("id post_id", INTEGER),
        ),
        joins=" ".join(
            (
                joined("user_id", "u"),
                joined("post_id", "p", "posts"),
                "LEFT JOIN users AS a ON a.organization_id = p.organization_id AND a.id = p.user_id",
            )
        ),
        people=("user",),
    ),
    Record(
        "transitions",
        StateTransition,
        (
            *columns("subject_type"),
            *columns("subject_id", INTEGER),
            *columns("event from_state to_state"),
            Column("actor", "u.email"),
            *columns("reason idempotency_key request_fingerprint"),
            *columns("occurred_at", MOMENT),
            *columns("made_up", BOOLEAN),
            *columns("details", DOCUMENT),
            *ID,
        ),
        joins=joined("actor_id", "u"),
        when="occurred_at",
        state="to_state",
        people=("actor",),
    ),
    Record(
        "organizations",
        Organization,
        (
            *columns("subdomain name time_zone currency email phone address"),
            *map(setting, NUMBERS_OF_SETTINGS),
            setting("book_prospects", BOOLEAN),
            *(setting(name, BOOLEAN) for name in ("families_book_groups", "reserve_credits")),
            *(setting(name, TEXT) for name in ("country", "holiday_country", "holiday_subdivision")),
            *columns("settings", DOCUMENT),
            *ID,
            *STAMPS,
        ),
    ),
    Record(
        "notices",
        Notice,
        (
            *columns("appointment_id", INTEGER),
            Column("recipient", "u.email"),
            *columns("event channel address state reason reference"),
            *columns("minutes_before attempts", INTEGER),
            *columns("occurs_at due_at retry_at sent_at", MOMENT),
            *columns("cause_id purchase_id", INTEGER),
            *ID,
            *STAMPS,
        ),
        joins=joined("recipient_id", "u"),
        when="due_at",
        state="state",
        people=("recipient",),
    ),
)
