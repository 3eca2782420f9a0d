"""The database and the web integration, as every page imports them."""

import os

from rayces_core import Database
from rayces_core.integrations.fastapi import Rayces

db = Database.from_env()
rayces = Rayces(
    db,
    domain=os.environ.get("CENTRE_DOMAIN", "localhost"),
    secret=os.environ["CENTRE_SECRET"],
    cookie="centre",
    exempt=("/static/*",),
    max_body=2_000_000,
)
