"""The report as PDF: the same page, set by WeasyPrint, which is let load nothing."""

from __future__ import annotations

from typing import Any

from rayces_core.analysis.needed import wanted
from rayces_core.errors import ConfigurationError, MissingExtraError


def paper(page: str) -> bytes:
    """The page as a PDF document of A4 sheets.

    Raises:
        MissingExtraError: WeasyPrint is not installed, or the system lacks Pango, which it sets text with.
    """
    try:
        weasyprint = wanted("weasyprint")
    except OSError as error:
        raise MissingExtraError(
            f"WeasyPrint sets text with Pango, which this system lacks ({error}); install libpango, or write .html"
        ) from None
    document: bytes = weasyprint.HTML(string=page, url_fetcher=_nothing).write_pdf()
    return document


def _nothing(url: str, *_: Any, **__: Any) -> Any:
    raise ConfigurationError(f"a report loads nothing, and {url} least of all")
