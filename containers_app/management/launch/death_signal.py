"""Lets a process end with the one that started it, even when that one is killed."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache


@cache
def dying_with_parent(signal_name: str) -> tuple[str, ...]:
    """Words to put before a command; none on a system without them, where only an orderly end ends the children."""
    program = shutil.which("setpriv")
    if program is None:
        return ()
    words = (program, "--pdeathsig", signal_name, "--")
    tried = subprocess.run((*words, "/bin/true"), check=False, capture_output=True)
    return words if tried.returncode == 0 else ()
