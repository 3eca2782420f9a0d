"""Signing in: passwords, access tokens, devices, links that work once. Plain functions, of any web framework or none.

Everything here is the bound tenant's: a token of another organization is no token. docs/sign-in.md has the rules and
what is stored.
"""

from rayces_core.sign_in.devices import devices, sign_out
from rayces_core.sign_in.entering import check_password
from rayces_core.sign_in.links import (
    accept_invitation,
    confirm_email,
    invite,
    link,
    mint,
    request_confirmation,
    request_reset,
    reset_password,
)
from rayces_core.sign_in.passwords import SHORTEST, import_password_hash, set_password
from rayces_core.sign_in.pruning import prune
from rayces_core.sign_in.tokens import Claims, Tokens

__all__ = [
    "SHORTEST",
    "Claims",
    "Tokens",
    "accept_invitation",
    "check_password",
    "confirm_email",
    "devices",
    "import_password_hash",
    "invite",
    "link",
    "mint",
    "prune",
    "request_confirmation",
    "request_reset",
    "reset_password",
    "set_password",
    "sign_out",
]
