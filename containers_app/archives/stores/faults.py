"""Turns what the operating system says about a file into the product's own errors, in one place."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from containers_app.errors import StorageError, StorageFull

_NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT))


@contextmanager
def storage_faults(doing: str) -> Iterator[None]:
    """Raise StorageFull or StorageError instead of an OSError; `doing` completes "failed while ..."."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, doing) from error


def storage_error(error: OSError, doing: str) -> StorageError:
    """The product's error for an OSError, without the path that the latter names."""
    if error.errno in _NO_SPACE:
        return StorageFull(
            f"The backup storage has no space left while {doing}: free some space, or use another folder."
        )
    reason = os.strerror(error.errno) if error.errno else "unknown reason"
    return StorageError(f"The backup storage failed while {doing}: {reason}.")
