"""Why a checkpoint did not arrive."""

from __future__ import annotations

from containers_app.errors import MycoError


class AnchorFailed(MycoError):
    """A checkpoint did not reach its anchor; the message says why, without a secret, and it is tried again later."""

    retryable = True
