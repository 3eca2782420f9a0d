"""What signing in raises, none of which says whether an address is known; and what a request is too large for."""

from __future__ import annotations

from rayces_core.errors.base import RaycesError


class UnauthenticatedError(RaycesError):
    """Nobody has signed in here: there is no access token, or it is not valid in this organization any more."""

    code = "unauthenticated"

    def __init__(self, message: str = "sign in first: there is no access token that is valid here") -> None:
        super().__init__(message)


class WrongCredentialsError(UnauthenticatedError):
    """The e-mail address and the password do not belong together; it is not told which of them is wrong."""

    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__("the e-mail address or the password is wrong")


class EmailUnconfirmedError(UnauthenticatedError):
    """The password is right, but the address was never confirmed, which the caller asked for."""

    code = "email_unconfirmed"

    def __init__(self) -> None:
        super().__init__("the e-mail address is not confirmed yet; follow the link that was sent to it")


class TooManyAttemptsError(RaycesError):
    """Too many attempts to sign in have failed. Attribute: `retry_after`, seconds until the next one is looked at."""

    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"too many attempts have failed; try again in {retry_after} seconds")


class InvalidLinkError(RaycesError):
    """A link that works once is unknown, expired, used, or was for something else; ask for a new one."""

    code = "invalid_link"

    def __init__(self) -> None:
        super().__init__("this link does not work any more; ask for a new one")


class BodyTooLargeError(RaycesError):
    """The body of a request is larger than the application takes. Attribute: `limit`, bytes that it takes at most."""

    code = "too_large"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"the body of the request is larger than {limit:,} bytes; send less, or raise max_body=")
