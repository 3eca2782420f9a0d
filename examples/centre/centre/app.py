"""The application: the library's integration, the pages and the API."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from centre import account, admin, api, desk, family, payments, professional
from centre.web import rayces

app = FastAPI(title="Centre", version="1.0.0")
rayces.install(app)
for pages in (account, family, professional, desk, payments, admin, api):
    app.include_router(pages.router)
app.include_router(payments.hooks)
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
