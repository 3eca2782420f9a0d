"""Who a request comes from: access tokens of one organization."""

from __future__ import annotations

from rayces_core.sign_in.tokens import Claims, Tokens

__all__ = ["Claims", "Tokens"]
