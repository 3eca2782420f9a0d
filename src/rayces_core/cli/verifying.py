"""What the commands `verify` share: of whom they look, how they tell what they found, and what they exit with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Final, TypeVar

from rayces_core.cli.options import Settings, subdomain_or_id

FINDINGS: Final = 1
Finding = TypeVar("Finding")


def verified(
    settings: Settings,
    organization: str | None,
    reason: str,
    find: Callable[[], list[Finding]],
    show: Callable[[list[Finding]], None] | None,
) -> int:
    """Find in one organization or in all, and print it: shown, or as JSON where there is nothing to show it by."""
    from rayces_core.cli.output import print_json

    with settings.database() as database, ExitStack() as stack:
        if organization is None:
            stack.enter_context(database.privileged(reason=reason))
        else:
            stack.enter_context(database.tenant(subdomain_or_id(organization)))
        found: list[Any] = find()
    if show is None:
        print_json(asdict(finding) for finding in found)
    else:
        show(found)
    return FINDINGS if found else 0
