"""What an operation left to read: its result, the plan that it followed, the proofs of what it made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers_app.admin.plans import obstacles
from containers_app.models import Container, Operation
from containers_app.operations.authority import Asker
from containers_app.operations.visibility import visible_to

_SHOWN_ELSEWHERE = frozenset({"warnings", "success", "plan"})
_READ_BACK = frozenset({"verify", "adopt"})


def outcome(row: Operation, asker: Asker) -> dict[str, Any]:
    """For the page of an operation; each part is empty where there is none, or none that the asker may see."""
    proof = row.proof or {}
    configuration = proof.get("configuration") or {}
    differences = configuration.get("differences") or []
    return {
        "results": _results(row),
        "verdicts": (row.result or {}).get("parts") or () if row.kind in _READ_BACK else (),
        "made": _made(row.result or {}, asker),
        "plan": _plan(row),
        "obstacles": obstacles(row.plan or {}),
        "configuration": configuration,
        "explained": [entry for entry in differences if entry.get("reason")],
        "unexplained": [entry for entry in differences if not entry.get("reason")],
        "trees": [_tree(entry) for entry in proof.get("content") or ()],
        "parent": visible_to(asker, "operation").filter(pk=row.parent_id).first(),
        "children": visible_to(asker, "operation").filter(parent=row).order_by("id"),
        "percent": min(100, int(100 * row.bytes_done / row.bytes_total)) if row.bytes_total else None,
    }


def _results(row: Operation) -> list[tuple[str, Any]]:
    hidden = _SHOWN_ELSEWHERE | {"parts"} if row.kind in _READ_BACK else _SHOWN_ELSEWHERE
    return [(name, value) for name, value in (row.result or {}).items() if name not in hidden]


def _plan(row: Operation) -> dict[str, Any]:
    """What the work said again as its own warnings is left out."""
    plan = row.plan or {}
    return {**plan, "warnings": [entry for entry in plan.get("warnings") or () if entry not in row.warnings]}


def _made(result: Mapping[str, Any], asker: Asker) -> Container | None:
    """The new container, where the inventory has it."""
    rows = visible_to(asker, "container").filter(engine_id=str(result.get("newId") or ""))
    return rows.order_by("-id").first()


def _tree(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "sides": [_side("Source", entry.get("source") or {}), _side("Copy", entry.get("copy") or {})]}


def _side(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, **{key: figures.get(key) for key in ("entries", "bytes", "sha256")}}
