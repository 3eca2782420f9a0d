"""What working with several databases raises: tenants on their way, cells that are not as they must be, moves."""

from __future__ import annotations

from collections.abc import Sequence

from rayces_core.errors.base import NOT_COMMITTED, RaycesError, TenancyError, TenantSwitchError


class TenantMovingError(TenancyError):
    """The tenant is being moved to another cell: it is read meanwhile, and not written.

    Attributes: `tenant`, its subdomain; `cell`, the other one. Writing works again, there, once the move is done.
    """

    code = "tenant_moving"
    retryable = True
    outcome = NOT_COMMITTED

    def __init__(self, tenant: object, cell: str) -> None:
        self.tenant, self.cell = tenant, cell
        super().__init__(
            f"organization {tenant!r} is being moved (the other cell is {cell!r}): reading goes on, writing does not; "
            "run the unit of work again in a moment"
        )


class TenantMovedError(TenancyError):
    """The tenant lives in another cell by now; what is left in this one is an old copy, or not yet a whole one.

    Attributes: `tenant`, its subdomain; `cell`, where it lives.
    """

    code = "tenant_moved"
    retryable = True
    outcome = NOT_COMMITTED

    def __init__(self, tenant: object, cell: str) -> None:
        self.tenant, self.cell = tenant, cell
        super().__init__(
            f"organization {tenant!r} lives in cell {cell!r}, and not in this database; bind it anew with "
            "`with cells.tenant(...):`, which finds it there"
        )


class CellSwitchError(TenantSwitchError):
    """A unit of work is open in one cell, and another was asked for: none spans two databases.

    Attributes: `open_cell`, `cell`.
    """

    code = "cell_switch"

    def __init__(self, open_cell: str, cell: str) -> None:
        self.open_cell, self.cell = open_cell, cell
        super().__init__(
            f"a unit of work is open in cell {open_cell!r}, and what is written in {cell!r} would not be part of it; "
            "leave its `with db.atomic():` first"
        )


class CellError(RaycesError):
    """A cell or the catalogue is not as it must be; the message says which one and what to do.

    Attribute: `results`, of work over all cells what became of each, in their order.
    """

    code = "cell"

    def __init__(self, message: str, *, results: Sequence[object] = ()) -> None:
        self.results = list(results)
        super().__init__(message)


class MoveError(CellError):
    """A tenant cannot be moved so, or not from here on; the message says how far it is and what to do."""

    code = "move"
