"""The PDF of the evidence pack, read by another program: text, pages, tags, fonts, and nothing outside of it."""

from __future__ import annotations

import builtins
import io
import sys
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import IndirectObject

from containers_app.workflows.evidence_pack.document import NoPdf, html_of, pdf_of
from containers_app.workflows.evidence_pack.tables import DATABASE, Table
from tests.unit.workflows.evidence_bench import FACES, FORMULA, MARKUP, REORDERED

HOSTILE = (MARKUP, FORMULA, REORDERED, FACES)
COVER: dict[str, Any] = {"title": "Evidence", "facts": (("Made", "now"),), "checkpoints": [], "unproven": ["All."]}


def table(*names: str) -> Table:
    found = Table(name="names", title="Names", source=DATABASE, columns={"name": "Heading"}, spool=io.StringIO)
    for name in names:
        found.add({"name": name})
    return found


def printed(*tables: Table, **cover: Any) -> bytes:
    return pdf_of(html_of({"cover": {**COVER, **cover}, "tables": tables}))


def texts(content: bytes) -> list[str]:
    """The text of each page without its line breaks: a narrow column breaks words."""
    return [page.extract_text().replace("\n", "") for page in PdfReader(io.BytesIO(content)).pages]


def objects(content: bytes) -> list[Any]:
    """Every object of the file."""
    reader = PdfReader(io.BytesIO(content))
    size: Any = reader.trailer["/Size"]
    return [IndirectObject(number, 0, reader).get_object() for number in range(1, size)]


@pytest.mark.reports
def test_the_text_is_there_on_numbered_pages_whose_tables_repeat_their_heading() -> None:
    pages = texts(printed(table(*(f"row-{number}." for number in range(150)))))
    assert len(pages) >= 3
    assert [f"Page {number} of {len(pages)}" in page for number, page in enumerate(pages, start=1)] == [True] * len(
        pages
    )
    assert all("Heading" in page for page in pages)
    assert [number for number in range(150) if f"row-{number}." not in "".join(pages)] == []


@pytest.mark.reports
@pytest.mark.parametrize("name", [MARKUP, FORMULA, FACES])
def test_a_hostile_name_is_shown_as_it_is(name: str) -> None:
    shown = "".join(texts(printed(table(name, name, name))))
    assert all(shown.count(character) >= 3 for character in name if character != " ")
    assert name in shown or name == FACES  # right-to-left letters come in the order in which they are drawn


@pytest.mark.reports
def test_a_mark_that_reorders_text_is_written_out() -> None:
    shown = "".join(texts(printed(table(REORDERED))))
    assert ("a\\u202egnp.exe" in shown, "\u202e" in shown) == (True, False)


@pytest.mark.reports
def test_it_is_tagged_has_a_language_and_a_title_and_embeds_its_fonts() -> None:
    content = printed(table(*HOSTILE))
    reader = PdfReader(io.BytesIO(content))
    root: Any = reader.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("en", True)
    assert "/StructTreeRoot" in root
    assert reader.metadata is not None
    assert reader.metadata.title == "Evidence"
    assert b"pdfuaid" in root["/Metadata"].get_data()
    fonts = [one for one in objects(content) if isinstance(one, dict) and one.get("/Type") == "/FontDescriptor"]
    assert fonts
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(one) for one in fonts)


@pytest.mark.reports
def test_nothing_leads_out_of_the_file_and_nothing_runs_in_it() -> None:
    markup = "<a href='https://example.org/'>x</a><img src='file:///etc/passwd'>"
    content = printed(table(markup, *HOSTILE))
    found = {str(key) for one in objects(content) if isinstance(one, dict) for key in one}
    assert found & {"/URI", "/JavaScript", "/JS", "/Launch", "/GoToR", "/EmbeddedFile", "/OpenAction", "/AA"} == set()


@pytest.mark.reports
def test_even_a_page_that_asks_for_files_gets_none(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    style = tmp_path / "style.css"
    style.write_text("p::after{content:'fetched'}")
    opened: list[str] = []
    original = builtins.open

    def watching(path: Any, *rest: Any, **named: Any) -> Any:
        opened.append(str(path))
        return original(path, *rest, **named)

    monkeypatch.setattr(builtins, "open", watching)
    page = f'<!DOCTYPE html><html lang="en"><title>t</title><link rel="stylesheet" href="{style.as_uri()}"><p>text</p>'
    assert texts(pdf_of(page)) == ["text"]
    assert str(style) not in opened


@pytest.mark.parametrize("lack", [ImportError("no module"), OSError("cannot load library 'libpango-1.0-0'")])
def test_a_machine_without_the_libraries_says_what_to_install(lack: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name == "weasyprint":
            raise lack
        return original(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(NoPdf, match="bin/install-packages reports"):
        pdf_of("<p>text</p>")
