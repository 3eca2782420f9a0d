"""An admin sees which messages wait, were delivered or could not be."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from centre.pages import PageRoute, page
from centre.web import rayces
from rayces_core import OutboxMessage, Role, User

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN = 100


@router.get("/outbox")
def messages(request: Request, me: Annotated[User, rayces.requires(Role.ADMIN)]) -> Response:
    latest = OutboxMessage.visible_to(me).order_by(OutboxMessage.id.desc()).limit(SHOWN)
    return page(request, "outbox.html", me, messages=list(latest))
