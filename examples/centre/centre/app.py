"""The application: the library's integration, the pages and the API."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from centre import (
    absences,
    account,
    admin,
    api,
    billing,
    calendars,
    catalogue,
    desk,
    family,
    groups,
    new_series,
    notices,
    payments,
    people,
    professional,
    schedules,
    series,
    settings,
    waiting,
)
from centre.web import rayces

app = FastAPI(title="Centre", version="1.0.0")
rayces.install(app)
for pages in (
    account,
    family,
    professional,
    desk,
    new_series,
    series,
    absences,
    waiting,
    billing,
    catalogue,
    notices,
    payments,
    people,
    admin,
    api,
    calendars,
    groups,
    schedules,
    settings,
):
    app.include_router(pages.router)
app.include_router(payments.hooks)
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
