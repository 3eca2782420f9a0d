"""Which devices are signed in, and signing them out: one, or all."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from rayces_core import clock
from rayces_core.database.snapshots import unit_of_the_present
from rayces_core.errors import InvalidDataError
from rayces_core.models.signing_in import Device
from rayces_core.models.user import User, new_token_id
from rayces_core.sign_in.addresses import address_of
from rayces_core.tenancy.scoping import check_saved, known_tenant_of

LONGEST_NAME = 200


def devices(user: User) -> list[Device]:
    """The devices that are signed in as the user, the latest first."""
    check_saved(user, User, "user")
    mine = Device.select().where(_of(user), Device.expires_at > clock.now())
    return list(mine.order_by(Device.created_at.desc(), Device.id.desc()))


def add_device(user: User, name: str, address: str | None, expires_at: datetime) -> Device:
    """Note a device that is signed in from now on."""
    if not isinstance(name, str) or not name.strip():
        raise InvalidDataError("device", name, 'needs a name that the user will recognise, such as "phone"')
    return Device.create(
        user=user.id,
        token_id=secrets.token_urlsafe(24),
        name=name.strip()[:LONGEST_NAME],
        address=address_of(address),
        expires_at=expires_at,
    )


def sign_out(user: User, device: Device | int | str | None = None) -> None:
    """Sign the user out: on one device, or everywhere; no token that was given out before is valid any more.

    Args:
        device: a row of `devices`, its id, or what a token's claims name it by (`claims.device`; None, of a token that
            is no device's, is everywhere). One that is signed out already, or another user's, changes nothing.
    """
    check_saved(user, User, "user")
    if device is not None:
        is_it = Device.token_id == device if isinstance(device, str) else Device.id == _id_of(device)
        _delete(_of(user), is_it)
        return
    token_id = new_token_id()
    with unit_of_the_present():
        User.update(jti=token_id).where(user._pk_expr()).execute()
        _delete(_of(user))
    user.jti = token_id


def _of(user: User) -> Any:
    """Whether a device is this user's; in privileged work another organization's may have the same id."""
    return (Device.user == user.id) & (Device.organization == known_tenant_of(user))


def _id_of(device: Device | int) -> int:
    return device.id if isinstance(device, Device) else device


def _delete(*conditions: Any) -> None:
    Device.delete().where(*conditions).execute()  # type: ignore[arg-type]
