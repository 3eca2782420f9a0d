"""Log lines that say for which tenant and which user: a filter for the standard library's logging.

handler.addFilter(TenantFilter())
handler.setFormatter(logging.Formatter("%(organization_id)s %(user_id)s %(message)s"))
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rayces_core.database.binding import bound_here

_user: ContextVar[int | None] = ContextVar("rayces_logged_user", default=None)


@contextmanager
def acting(user: Any) -> Iterator[None]:
    """Log lines of the block name this user, or none for None; a web application enters it once it knows the user."""
    token = _user.set(getattr(user, "id", None))
    try:
        yield
    finally:
        _user.reset(token)


class TenantFilter(logging.Filter):
    """Adds `organization_id` and `user_id` to every record, None where there is none; it lets every record through.

    Add it to the handler, so that lines of other libraries have them too. It asks no database.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add both, unless the caller has given them by `extra=`."""
        binding = bound_here()
        if not hasattr(record, "organization_id"):
            record.organization_id = None if binding is None else binding.organization_id
        if not hasattr(record, "user_id"):
            record.user_id = _user.get()
        return True
