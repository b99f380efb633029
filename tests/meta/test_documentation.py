"""The documentation names what exists, all of it and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import PROJECT

DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]
REFERENCE = PROJECT / "docs" / "reference"
COMMANDS = PROJECT / "containers_app" / "management" / "commands"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|^ +```.*?^ +```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
# What the demonstration writes for scripts, and what only the tests read: on the page, but no settings of the product.
NOT_SETTINGS = {
    "MYCO_ADMIN_PASSWORD",
    "MYCO_ADMIN_USER",
    "MYCO_API_KEY",
    "MYCO_AUDITOR_KEY",
    "MYCO_CHROMIUM",
    "MYCO_ENGINES",
    "MYCO_PICTURES",
    "MYCO_REQUIRE",
    "MYCO_SAMPLE",
}


def settings() -> set[str]:
    """The names that the environment module reads, with their prefix."""
    source = (PROJECT / "mycodocker" / "env.py").read_text()
    return {
        f"MYCO_{node.args[0].value!s}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith("_env.")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value != "MYCO_"
    }


def error_codes() -> set[str]:
    """The codes of the error tree, and those that the API's table has besides."""
    tree = re.findall(r'^    code = "([A-Z_]+)"$', (PROJECT / "containers_app" / "errors.py").read_text(), re.MULTILINE)
    table = re.findall(
        r'^    "([A-Z_]+)": \d{3},$', (PROJECT / "containers_app/api/problems.py").read_text(), re.MULTILINE
    )
    kinds = re.findall(r'failure_code="([A-Z_]+)"', (PROJECT / "containers_app/operations/kinds.py").read_text())
    return {*tree, *table, *kinds}


def statuses() -> dict[str, str]:
    """The HTTP status of each code, as the page's tables say."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\d{3}) \|", (REFERENCE / "api.md").read_text(), re.MULTILINE)
    return dict(rows)


def management_commands() -> list[str]:
    return sorted(path.stem for path in COMMANDS.glob("*.py") if not path.stem.startswith("_"))


def make_targets() -> list[str]:
    return re.findall(r"^([a-z][a-z-]*):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """Each relative link of a document: the file that it means, and the heading behind `#`, if any."""
    for target in LINK.findall(CODE.sub("", document.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            name, _, heading = target.partition("#")
            yield (document.parent / name).resolve() if name else document, heading


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings: lower case, no punctuation, hyphens for spaces."""
    found = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def test_every_setting_is_on_the_page_of_settings_and_nothing_else() -> None:
    documented = set(re.findall(r"MYCO_[A-Z0-9_]+[A-Z0-9]", (REFERENCE / "settings.md").read_text()))
    ends = {f"{name}_FILE" for name in settings()}
    assert documented - ends - NOT_SETTINGS == settings()


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = settings() | NOT_SETTINGS
    known |= {f"{name}_FILE" for name in settings()}
    found = {
        f"{document.name}: {name}"
        for document in DOCUMENTS
        for name in re.findall(r"MYCO_[A-Z0-9_]+[A-Z0-9]", document.read_text())
        if name not in known
    }
    assert found == set()


def test_every_error_code_has_its_row_on_the_page_of_the_interface() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (REFERENCE / "api.md").read_text(), re.MULTILINE)
    assert error_codes() - set(rows) == set()


def test_the_page_of_the_interface_gives_each_code_its_status() -> None:
    from containers_app.api.problems import STATUS, status_of

    assert set(STATUS) <= set(statuses())
    assert {code: str(status_of(code)) for code in statuses()} == statuses()


def test_every_route_is_on_the_page_of_the_interface() -> None:
    from containers_app.api.urls import urlpatterns

    page = (REFERENCE / "api.md").read_text()
    addresses = [re.sub(r"<[^>]+>", "{}", str(pattern.pattern)) for pattern in urlpatterns]
    documented = re.sub(r"\{[^}]*\}", "{}", page)
    assert [address for address in addresses if f"/{address}`" not in documented] == []


@pytest.mark.parametrize("command", management_commands())
def test_every_management_command_is_documented(command: str) -> None:
    assert re.search(rf"^\| `{command}[` ]", (REFERENCE / "commands.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", management_commands())
def test_every_management_command_has_a_test_that_names_it(command: str) -> None:
    """As an argument (`"smoke"`), as a module, or as `manage.py smoke`."""
    named = re.compile(rf"""["']{command}["']|commands(?:\.| import ){command}\b|manage\.py {command}\b""")
    here = Path(__file__)
    found = [path for path in (PROJECT / "tests").rglob("test_*.py") if path != here and named.search(path.read_text())]
    assert found


@pytest.mark.parametrize("target", make_targets())
def test_every_make_target_is_documented(target: str) -> None:
    assert f"`make {target}`" in (REFERENCE / "commands.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    missing = [
        f"{target.name}#{heading}"
        for target, heading in links(document)
        if not target.exists() or (heading and heading not in headings(target))
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_file_that_a_page_names_exists(document: Path) -> None:
    """Paths of our own packages in backquotes; a name alone is short for its neighbour's folder."""
    named = re.findall(r"`((?:containers_app|mycodocker|tests|bin|docs|templates)/[\w./-]*\w/?)`", document.read_text())
    assert [name for name in named if not (PROJECT / name).exists()] == []
