"""The tags that every page uses: icon, badge, hexid, sizes. One table says which word gets which icon and tone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from containers_app.specs.sparkline import HEIGHT, WIDTH, Reading, sparkline

register = template.Library()
_CONTROL = re.compile("([\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff])")

# state: (tone, icon, word). The word is always printed; the tone is never the only sign.
STATES: Mapping[str, tuple[str, str, str]] = {
    "succeeded": ("ok", "ok", "Succeeded"),
    "success": ("ok", "ok", "Success"),
    "partial": ("warn", "half", "Partial"),
    "failed": ("bad", "fail", "Failed"),
    "failure": ("bad", "fail", "Failure"),
    "errored": ("bad", "bug", "Errored"),
    "error": ("bad", "bug", "Error"),
    "running": ("run", "run", "Running"),
    "queued": ("mute", "dots", "Queued"),
    "cancelled": ("mute", "stop", "Cancelled"),
    "interrupted": ("warn", "plug", "Interrupted"),
    "unprotected": ("gap", "shield-off", "Unprotected"),
    "protected": ("ok", "ok", "Backed up"),
    "partly": ("warn", "half", "Partly backed up"),
    "stale": ("warn", "clock", "Stale"),
    "unusable": ("bad", "fail", "None usable"),
    "never": ("gap", "shield-off", "Never backed up"),
    "excluded": ("mute", "stop", "Excluded"),
    "complete": ("ok", "ok", "Complete"),
    "missing": ("bad", "question", "Missing"),
    "corrupt": ("bad", "fail", "Corrupt"),
    "deleted": ("mute", "stop", "Deleted"),
    "intact": ("ok", "ok", "Intact"),
    "pinned": ("run", "pin", "Pinned"),
    "held": ("warn", "lock", "Held"),
    "hold-expired": ("mute", "lock", "Hold expired"),
    "released": ("mute", "lock", "Released"),
    "pruned": ("mute", "stop", "Pruned"),
    "new": ("ok", "plus-o", "New"),
    "changed": ("warn", "half", "Changed"),
    "disabled": ("mute", "pause", "Disabled"),
    "healthy": ("ok", "ok", "Healthy"),
    "up": ("ok", "ok", "Up"),
    "down": ("bad", "fail", "Down"),
    "up-running": ("ok", "play", "Running"),
    "unhealthy": ("bad", "warn", "Unhealthy"),
    "starting": ("warn", "clock", "Starting"),
    "paused": ("warn", "pause", "Paused"),
    "restarting": ("warn", "restart", "Restarting"),
    "removing": ("mute", "stop", "Removing"),
    "removed": ("gap", "stop", "Removed"),
    "created": ("mute", "plus-o", "Created"),
    "exited": ("bad", "stop", "Exited"),
    "exited-clean": ("mute", "stop", "Exited"),
    "dead": ("bad", "fail", "Dead"),
    "denied": ("bad", "lock", "Denied"),
    "unknown": ("warn", "question", "Unknown"),
    "intent": ("mute", "dots", "Intent"),
    "signed": ("ok", "seal", "Signed"),
    "unsigned": ("warn", "question", "Not signed yet"),
    "late": ("warn", "clock", "Signature is late"),
    "verified": ("ok", "seal", "Verified"),
    "tampered": ("bad", "fail", "Tampered"),
    "cannot verify": ("warn", "question", "Could not be verified"),
    "halted": ("bad", "fail", "Halted"),
    "empty": ("mute", "dots", "Empty"),
}

_LACKING = {"rootfs": "its file system", "config": "its configuration", "secrets": "values of its environment"}
_TREATMENTS = {"copy": "copied into a new one", "empty": "a new one, empty", "share": "shared with the source"}


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """One drawing of the page's sprite."""
    return format_html('<svg class="icon {}" aria-hidden="true"><use href="#i-{}"/></svg>', extra, name)


@register.simple_tag
def badge(state: str, word: str = "") -> SafeString:
    """A state as icon and word; a state that the table does not know is printed as it is."""
    tone, glyph, default = STATES.get(state, ("mute", "question", state))
    return format_html('<span class="badge is-{}">{}{}</span>', tone, icon(glyph), word or default)


@register.simple_tag
def state_icon(state: str) -> SafeString:
    """The icon of a state alone, beside a text that names it."""
    return icon(STATES.get(state, ("", "question", ""))[1])


@register.filter
def tone(state: str) -> str:
    """The class that gives a row the tone of a state."""
    return f"is-{STATES.get(state, ('mute', '', ''))[0]}"


@register.filter
def kept_badges(backup: Any) -> tuple[SafeString | str, SafeString | str]:
    """The marks of what keeps a backup: its pin and its hold, empty where there is none."""
    hold = "held" if backup.is_held else "hold-expired" if backup.hold_expired else ""
    return (badge("pinned") if backup.pinned else ""), (badge(hold) if hold else "")


@register.simple_tag
def hexid(value: str) -> SafeString:
    """The whole value is in the page; the style sheet shows its first twelve digits."""
    value = visible(value)
    digits = value.rpartition(":")[2]
    label = format_html('<span class="visually-hidden">Copy {}</span>', digits[:12])
    button = '<button type="button" class="copy" data-copy="{}" hidden>{}{}</button>'
    copy = format_html(button, value, icon("copy"), label)
    return format_html('<span class="hexid"><code title="{}">{}</code>{}</span>', value, digits, copy)


@register.filter
def visible(text: str) -> str:
    """Plain text with control characters shown instead of obeyed: for titles and labels."""
    return _CONTROL.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


@register.filter
def foreign(value: Any) -> SafeString:
    """Text that containers or people chose: escaped, isolated, and control characters shown instead of obeyed."""
    text = str(value)
    if not _CONTROL.search(text):
        return format_html("<bdi>{}</bdi>", text)
    parts = _CONTROL.split(text)
    shown = format_html_join("", "{}", ((_part(part),) for part in parts))
    return format_html("<bdi>{}</bdi>", shown)


@register.filter
def foreign_lines(value: Any) -> SafeString:
    """The same for text of several lines, each on a line of its own."""
    return format_html_join("\n", "{}", ((foreign(line),) for line in str(value).split("\n")))


def _part(text: str) -> SafeString:
    if _CONTROL.fullmatch(text):
        return format_html('<span class="ctl">{}</span>', f"U+{ord(text):04X}")
    return format_html("{}", text)


@register.filter
def as_text(value: Any) -> SafeString:
    """A value of a plan or a result, on one line: what is no text is JSON."""
    if value is None:
        return format_html('<span class="faint">{}</span>', "none")
    return foreign(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@register.filter
def treatment(word: str) -> SafeString:
    """What becomes of a volume."""
    return foreign(_TREATMENTS.get(word, word))


@register.filter
def lacking(kind: str) -> str:
    """What a backup without a part of this kind has not."""
    return _LACKING.get(kind, kind)


@register.filter
def listed(values: Sequence[Any]) -> SafeString:
    """Foreign words in a row. Django's own `join` escapes them, so that they would be escaped twice."""
    return foreign(", ".join(str(value) for value in values or ()))


@register.filter
def label(name: str) -> str:
    """A field's name in words."""
    return name.replace("_", " ")


@register.filter
def size(value: int | None) -> str:
    """Bytes in the unit that people read."""
    if value is None:
        return "unknown"
    amount, units = float(value), ("B", "KiB", "MiB", "GiB", "TiB")
    position = 0
    while amount >= 1024 and position < len(units) - 1:
        amount, position = amount / 1024, position + 1
    return f"{amount:.0f} {units[position]}" if position == 0 else f"{amount:.2f} {units[position]}"


@register.filter
def signed_size(value: int | None) -> str:
    """A difference of sizes, with its sign."""
    if not value:
        return size(value)
    return f"{'+' if value > 0 else '-'}{size(abs(value))}"


@register.simple_tag
def spark(readings: Sequence[Reading], label: str) -> SafeString:
    """A line chart; `label` says in words what it shows. A dot is a figure that stands alone, a cross a bad one."""
    drawn = sparkline(readings)
    paths = (
        *(('<polygon points="{}"/>', points) for points in drawn.areas),
        *(('<path class="rule" d="M0 {}h{}"/>', drawn.zero, f"{WIDTH:.0f}"),),
        *(('<polyline points="{}"/>', points) for points in drawn.lines),
        *(('<path class="dot" d="{}"/>', path) for path in drawn.dots),
        *(('<path class="mark is-bad" d="{}"/>', path) for path in drawn.crosses),
    )
    shapes = format_html_join("", "{}", ((format_html(shape, *values),) for shape, *values in paths))
    box = '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    return format_html(box, f"{WIDTH:.0f}", f"{HEIGHT:.0f}", label, shapes)


@register.filter
def words(text: str) -> list[str]:
    """The parts of a list that a template writes with commas."""
    return text.split(",")


@register.filter
def thousands(number: int) -> str:
    """A whole number as people read it."""
    return f"{number:,}"


@register.filter
def utc_time(text: str) -> str:
    """A time of the ledger, `2026-11-30T12:00:00.123456Z`, without its fraction and its letters."""
    return visible(str(text or "")[:19].replace("T", " "))


@register.filter
def query(value: Any, name: str) -> str:
    """A value as the part of an address that filters by it."""
    return urlencode({name: str(value)})


@register.filter
def octal(mode: int | None) -> str:
    """The permissions of a file as people write them."""
    return "unknown" if mode is None else f"{mode:04o}"


@register.filter
def epoch(seconds: int | None) -> str:
    """Seconds since 1970 as a time in UTC, as far as the calendar goes."""
    try:
        return "unknown" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s since 1970"


@register.simple_tag
def grouped(change_list: Any, results: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows of a list under the headings that its admin gives them; under none, where it gives none."""
    site_admin = change_list.model_admin
    if not hasattr(site_admin, "group_of"):
        return [{"head": "", "rows": results}]
    pairs = zip(change_list.result_list, results, strict=True)
    groups = [list(group) for _, group in groupby(pairs, lambda pair: site_admin.group_of(pair[0]))]
    return [
        {"head": site_admin.group_head([row for row, _ in group]), "rows": [cells for _, cells in group]}
        for group in groups
    ]


@register.simple_tag
def filter_label(choices: Sequence[Mapping[str, Any]]) -> str:
    """The chosen value of one filter."""
    return next((str(choice["display"]) for choice in choices if choice.get("selected")), "")
