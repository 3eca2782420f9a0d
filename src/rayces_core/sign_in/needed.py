"""The two packages that signing in needs beside the library, imported where they are first used."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rayces_core.errors import MissingExtraError

INSTALL = "is not installed: pip install 'rayces-core[sign-in]'"


def jwt_module() -> ModuleType:
    """PyJWT."""
    try:
        import jwt
    except ImportError as error:
        raise MissingExtraError(f"PyJWT {INSTALL}") from error
    return jwt


def hashers() -> Any:
    """Pwdlib's hashers: Argon2id makes hashes, and bcrypt ones, as devise made them, are still believed."""
    try:
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher
        from pwdlib.hashers.bcrypt import BcryptHasher
    except ImportError as error:
        raise MissingExtraError(f"pwdlib with Argon2 and bcrypt {INSTALL}") from error
    return PasswordHash((Argon2Hasher(), BcryptHasher()))
