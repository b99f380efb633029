"""The report for people: one page of HTML with all its style inside, and the same page as a tagged PDF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.template.loader import render_to_string

TEMPLATE: Final = "myco/evidence.html"
# Screen readers and archives can use it (ISO 14289-1); the text is in embedded fonts.
_VARIANT: Final = "pdf/ua-1"


class NoPdf(Exception):
    """This machine lacks what makes PDF; the message says what to install."""


def html_of(facts: Mapping[str, Any]) -> str:
    """The page: nothing is fetched by it, nothing runs in it, and each value is escaped."""
    return render_to_string(TEMPLATE, dict(facts))


def pdf_of(html: str) -> bytes:
    """The page as a PDF with page numbers, which needs no network and reads no file. Raises NoPdf."""
    try:
        # Pango is loaded by the import, and not every machine has it.
        from weasyprint import HTML  # noqa: PLC0415
        from weasyprint.urls import URLFetcher  # noqa: PLC0415
    except (ImportError, OSError) as lack:
        words = "the PDF is not made: install the libraries with 'bin/install-packages reports', then ask again"
        raise NoPdf(words) from lack
    nothing = URLFetcher(allowed_protocols=())
    content: bytes = HTML(string=html, url_fetcher=nothing).write_pdf(pdf_variant=_VARIANT)
    return content
