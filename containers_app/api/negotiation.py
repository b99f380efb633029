"""What an answer is written in: each address has one form, whatever `Accept` and `?format=` say."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class OneForm(DefaultContentNegotiation):
    """A refusal over `Accept` would help nobody: RFC 9110, section 12.5.1, lets the server disregard it."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The view's first one."""
        first = next(iter(renderers))
        return first, first.media_type or ""
