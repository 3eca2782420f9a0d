"""What nobody asks for and time brings: holds that are over, times for who waits for one, credits that expire."""

import os
import threading
from contextlib import suppress

from centre.web import db
from rayces_core import Organization, RaycesError, credits, scheduling

SECONDS = float(os.environ.get("CENTRE_SWEEP_SECONDS", "60"))


def sweep() -> None:
    """Do it once; what cannot be done now is done the next time."""
    with suppress(RaycesError), db.privileged(reason="sweeps"):
        scheduling.expire_overdue()
        credits.expire_lots()
        centres = [each.id for each in Organization.select(Organization.id).where(Organization.active)]
    for centre in centres:
        with suppress(RaycesError), db.tenant(centre):
            scheduling.offer_slots()


def keep_sweeping(over: threading.Event, seconds: float = SECONDS) -> None:
    """Do it every so often, until it is over."""
    while not over.wait(seconds):
        sweep()
