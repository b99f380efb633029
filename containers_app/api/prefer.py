"""The Prefer header (RFC 7240): `respond-async`, with `wait=N` seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_WAIT_SECONDS = 25
_TOKEN = re.compile(r'\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*(?:=\s*(?:"([^"]*)"|([^\s,;"]*)))?\s*(?:;[^,]*)?')


@dataclass(frozen=True, kw_only=True)
class Preference:
    """What the client prefers. `wait_seconds` counts only together with `respond_async`."""

    respond_async: bool = False
    wait_seconds: int = 0

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`; empty when nothing was."""
        if not self.respond_async:
            return ""
        return f"respond-async, wait={self.wait_seconds}" if self.wait_seconds else "respond-async"


def parse(header: str) -> Preference:
    """Read the header. What is not understood is ignored, as section 2 asks; the first of two equal names counts."""
    wishes: dict[str, str] = {}
    for part in header.split(","):
        found = _TOKEN.fullmatch(part)
        if found:
            wishes.setdefault(found[1].lower(), found[2] or found[3] or "")
    wait = wishes.get("wait", "")
    seconds = min(int(wait), LONGEST_WAIT_SECONDS) if re.fullmatch(r"[0-9]{1,6}", wait) else 0
    return Preference(respond_async="respond-async" in wishes, wait_seconds=seconds)
