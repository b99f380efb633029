"""One error for every reason why a start cannot go on, so that the command prints a sentence and no traceback."""

from __future__ import annotations

from containers_app.errors import MycoError


class CannotStart(MycoError):
    """The start cannot go on; `message` says why and what to do."""

    code = "CANNOT_START"
