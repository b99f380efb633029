"""The style budgets of CONTRIBUTING.md, measured on the code itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.machine import PROJECT

PACKAGES = ("containers_app", "mycodocker")
FORBIDDEN_MODULE_NAMES = {"utils", "util", "helpers", "services", "signals", "common", "misc"}
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
BROAD = {"Exception", "BaseException"}
# The verifier runs by itself, on whatever a hostile file holds.
THE_BROAD_EXCEPTS = ["containers_app/audit/verifier/verify.py", "containers_app/operations/runner.py"]


def modules() -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
    return [path for path in found if "migrations" not in path.parts]


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=name_of(path))


def function_lengths() -> dict[str, int]:
    """Lines of each function, from `def` to its end, docstring included, decorators not."""
    return {
        f"{name_of(path)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def percentile_95(values: list[int]) -> int:
    return sorted(values)[int(len(values) * 0.95)]


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                yield f"{name_of(path)}:{node.lineno}", node


def test_half_of_the_functions_have_nine_lines_or_fewer() -> None:
    assert median(function_lengths().values()) <= 9


def test_nineteen_of_twenty_functions_have_forty_lines_or_fewer() -> None:
    assert percentile_95(list(function_lengths().values())) <= 40


def test_no_function_has_more_than_sixty_lines() -> None:
    assert {name: lines for name, lines in function_lengths().items() if lines > 60} == {}


def test_nineteen_of_twenty_files_have_350_lines_or_fewer() -> None:
    assert percentile_95([len(path.read_text().splitlines()) for path in modules()]) <= 350


def test_every_module_says_in_its_docstring_why_it_exists() -> None:
    # An empty file is a package's mark and holds nothing to explain.
    assert [
        name_of(path) for path in modules() if path.read_text().strip() and not ast.get_docstring(tree_of(path))
    ] == []


def test_no_module_is_named_after_nothing() -> None:
    assert [name_of(path) for path in modules() if {path.stem, path.parent.name} & FORBIDDEN_MODULE_NAMES] == []


def test_nothing_is_left_to_do_in_the_code() -> None:
    assert [name_of(path) for path in modules() if UNFINISHED.search(path.read_text())] == []


def test_only_the_runner_and_the_verifier_catch_every_exception() -> None:
    found = [
        name_of(path)
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert found == THE_BROAD_EXCEPTS


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether it catches what nobody foresaw and goes on; one that only tells and raises again is fine."""
    if isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None:
        return False
    return handler.type is None or any(
        isinstance(node, ast.Name) and node.id in BROAD for node in ast.walk(handler.type)
    )


def test_no_command_goes_through_a_shell() -> None:
    found = [
        place
        for place, call in calls()
        if any(word.arg == "shell" and getattr(word.value, "value", True) for word in call.keywords)
        or ast.unparse(call.func) in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput")
    ]
    assert found == []


def test_no_text_is_marked_as_safe_html() -> None:
    found = [
        place
        for place, call in calls()
        if ast.unparse(call.func).rpartition(".")[2] in ("mark_safe", "SafeString", "SafeText")
        or (ast.unparse(call.func).endswith("format_html") and call.args and isinstance(call.args[0], ast.JoinedStr))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("try: pass\nexcept Exception: pass", True),
        ("try: pass\nexcept (OSError, BaseException): pass", True),
        ("try: pass\nexcept: pass", True),
        ("try: pass\nexcept BaseException:\n    print()\n    raise", False),
        ("try: pass\nexcept (OSError, ValueError): pass", False),
    ],
)
def test_a_broad_except_is_recognised(source: str, expected: bool) -> None:
    (handler,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler))
    assert catches_everything(handler) is expected
