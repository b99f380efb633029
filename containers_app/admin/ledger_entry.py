"""One entry of the ledger: its page, drawn from the payload, its proof, and the marks of auditors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.acts import tell
from containers_app.admin.base import asker_of, author_of, reader_of, refused
from containers_app.admin.ledger_list import check, shown
from containers_app.audit.commitments import ALTERED, ERASED
from containers_app.audit.inclusion import inclusion
from containers_app.audit.published import entry_proof
from containers_app.audit.reviews import OBJECT_TYPE, reviews_of
from containers_app.errors import Hidden, MycoError, NotFound, PermissionDenied
from containers_app.operations.ledger_reads import ENTRY, PROOF, record_look
from containers_app.operations.ledger_reviews import REVIEW, review_entry
from containers_app.operations.visibility import find, sees_system, visible_to
from containers_app.templatetags.console import visible

_CHANGE = ("before", "after")


class ReviewForm(forms.Form):
    """What an auditor says of an entry."""

    mark = forms.ChoiceField(
        choices=(
            ("reviewed", "Reviewed: it is as it should be"),
            ("comment", "Comment"),
            ("flag", "Flag: look into it"),
        )
    )
    comment = forms.CharField(required=False, max_length=500, help_text="Kept in the ledger, where it can be erased.")


class EntryProofView(View):
    """The proof of one entry, step by step."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The hashes that lead from the entry to the signed root."""
        row = entry_or_404(request, pk)
        record_look(reader_of(request), PROOF, of=row.place)
        context = {**admin.site.each_context(request), "title": f"Proof of entry {row.leaf_index:,}", "row": row}
        try:
            context["proof"] = inclusion(row)
        except NotFound as error:
            context["missing"] = error.message
        return TemplateResponse(request, "myco/ledger_proof.html", context)


class EntryProofFileView(View):
    """The `.tlog-proof` file of one entry."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """As the interface gives it."""
        row = entry_or_404(request, pk)
        record_look(reader_of(request), PROOF, of=row.place)
        try:
            answer = HttpResponse(entry_proof(row), content_type="text/plain; charset=utf-8")
        except NotFound as error:
            tell(request, error, about=f"Entry {row.leaf_index:,}")
            return HttpResponseRedirect(reverse("admin:audit_entry_proof", args=[pk]))
        answer["Content-Disposition"] = f'attachment; filename="entry-{row.shard}-{row.leaf_index}.tlog-proof"'
        return answer


class ReviewView(View):
    """Marks an entry; old marks stay."""

    verbs = ("audit.review",)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One mark more."""
        if not request.user.has_perm(REVIEW):
            raise refused(request, "you may not review entries")
        row = entry_or_404(request, pk)
        form = ReviewForm(request.POST)
        back = HttpResponseRedirect(reverse("admin:audit_entry_change", args=[pk]))
        if not form.is_valid():
            messages.error(request, "A mark is reviewed, comment or flag, with a comment of 500 characters at most.")
            return back
        by = author_of(request)
        try:
            review_entry(row, form.cleaned_data["mark"], replace(by, reason=form.cleaned_data["comment"]))
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except MycoError as error:
            tell(request, error, about=f"Entry {row.leaf_index:,}")
        else:
            messages.success(request, "It is in the ledger.")
        return back


def entry_or_404(request: HttpRequest, pk: int) -> Any:
    """The entry, if the user may see it."""
    check(request)
    try:
        return find(asker_of(request), "entry", pk=pk)
    except (NotFound, Hidden) as error:
        raise Http404 from error


def entry_context(request: HttpRequest, row: Any) -> dict[str, Any]:
    """What the page of an entry shows."""
    record_look(reader_of(request), ENTRY, of=row.place)
    asker = asker_of(request)
    sees_all = sees_system(asker, "ledger")
    first, *marks = shown([row, *(reviews_of(row) if sees_all else [])])
    told = first["told"]
    near = {one.leaf_index: one.pk for one in _neighbours(asker, row)}
    return {
        "title": f"Entry {row.leaf_index:,}",
        "told": told,
        "verb": first["title"],
        "end": first["end"],
        "facts": list(_facts(told)),
        "changes": list(_changes(told)),
        "params": _lines(told.get("params", {})),
        "shown": json.dumps(told, indent=2, ensure_ascii=False),
        "previous": near.get(row.leaf_index - 1),
        "next": near.get(row.leaf_index + 1),
        "marks": marks,
        "review_form": ReviewForm() if request.user.has_perm(REVIEW) else None,
        "lost": (ERASED, ALTERED),
        "reviewed_entry": told.get("object", {}).get("id") if _is_of_entry(told) else None,
        "position": row.place,
    }


def _is_of_entry(told: Mapping[str, Any]) -> bool:
    return isinstance(told.get("object"), dict) and told["object"].get("type") == OBJECT_TYPE


def _neighbours(asker: Any, row: Any) -> Any:
    places = (row.leaf_index - 1, row.leaf_index + 1)
    return visible_to(asker, "entry").filter(shard=row.shard, leaf_index__in=places).only("leaf_index")


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every member of the payload but those that have a place of their own on the page."""
    apart = {"action", "object", "params", "details", "phase", "v", "time", "outcome"}
    for name, value in told.items():
        if name not in apart:
            yield from _named(visible(name), value)
    details = told.get("details")
    if isinstance(details, dict):
        yield from _named("details", {key: value for key, value in details.items() if key not in _CHANGE})


def _named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value, or each of an object's under its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(f"{name}.{visible(key)}", inner)
    else:
        yield name, value


def _changes(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is different between `before` and `after`, and what is the same."""
    details = told.get("details")
    sides = [details.get(side) if isinstance(details, dict) else None for side in _CHANGE]
    if not any(isinstance(side, dict) for side in sides):
        return
    before, after = (_lines(side or {}) for side in sides)
    known, now = dict(before), dict(after)
    for name in dict.fromkeys([*known, *now]):
        yield {
            "name": name,
            "before": known.get(name),
            "after": now.get(name),
            "has_before": name in known,
            "has_after": name in now,
            "is_same": name in known and name in now and known[name] == now[name],
        }


def _lines(values: Any) -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        return [("", values)]
    return [(path.removeprefix("."), value) for path, value in _named("", values)]
