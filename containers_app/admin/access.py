"""API keys, shown once and revoked by a mark."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers_app.admin.base import ReadOnlyAdmin, asker_of, moment, refused
from containers_app.audit import ledger
from containers_app.audit.origin import source_of
from containers_app.audit.verbs import records
from containers_app.models import ApiKey
from containers_app.models.access import Scope
from containers_app.templatetags.console import badge, foreign, visible


class KeyForm(forms.Form):
    """A new key."""

    user = forms.ModelChoiceField(User.objects.filter(is_active=True), help_text="It may never do more than its owner.")
    name = forms.CharField(max_length=100, help_text="What it is for.")
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple)
    expires_in_days = forms.IntegerField(min_value=1, max_value=3650, initial=90)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """All keys, dead ones too."""

    page_title = "API keys"
    page_template = "myco/key.html"
    change_list_template = "myco/keys.html"
    list_display = ("title", "owner", "scopes_shown", "state", "expires", "used")
    search_fields = ("name", "prefix", "user__username")
    sortable_by: ClassVar[Any] = ()

    def get_urls(self) -> list[URLPattern]:
        """Issue and revoke, before Django's own."""
        wrap = self.admin_site.admin_view
        return [
            path("issue/", wrap(self.issue_view), name="containers_app_apikey_issue"),
            path("<int:pk>/revoke/", wrap(self.revoke_view), name="containers_app_apikey_revoke"),
            *super().get_urls(),
        ]

    @records("access.key_issued")
    def issue_view(self, request: HttpRequest) -> HttpResponse:
        """The form, and after a POST the key's text: once, and in this answer only."""
        if not request.user.has_perm("containers_app.add_apikey"):
            raise refused(request, "you may not issue API keys")
        form = KeyForm(request.POST or None)
        context = {**self.admin_site.each_context(request), "title": "Issue an API key", "form": form, "text": ""}
        if request.method == "POST" and form.is_valid():
            context["text"] = self._issue(request, form.cleaned_data)
        return TemplateResponse(request, "myco/key_issue.html", context, headers={"Cache-Control": "no-store"})

    @records("access.key_revoked")
    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What will end, and after a POST its mark as revoked; the row stays."""
        if not request.user.has_perm("containers_app.revoke_apikey"):
            raise refused(request, "you may not revoke API keys")
        row = ApiKey.objects.select_related("user").filter(pk=pk).first()
        if row is None:
            raise Http404
        if request.method != "POST" and row.revoked_at is None:
            context = {**self.admin_site.each_context(request), "title": f"Revoke {visible(row.name)}", "row": row}
            return TemplateResponse(request, "myco/key_revoke.html", context)
        if request.method == "POST":
            self._revoke(request, row)
        return HttpResponseRedirect(reverse("admin:containers_app_apikey_change", args=[pk]))

    def _issue(self, request: HttpRequest, values: dict[str, Any]) -> str:
        with transaction.atomic():
            made = ApiKey.objects.issue(**values)
            self._record(request, "access.key_issued", made.row, expires=made.row.expires_at.isoformat())
        return made.text

    def _revoke(self, request: HttpRequest, row: ApiKey) -> None:
        if row.revoked_at is None:
            self._record(request, "access.key_revoked", row)
        won = ApiKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=timezone.now())
        messages.success(request, "The key is revoked." if won else "The key was revoked before.")

    def _record(self, request: HttpRequest, action: str, row: ApiKey, **details: Any) -> None:
        ledger.event(
            action=action,
            actor=asker_of(request).as_actor(),
            source=source_of(request, channel="ui"),
            subject=ledger.Subject(type="api_key", id=str(row.pk), name=row.prefix),
            details={"owner": str(row.user_id), "scopes": row.scopes, **details},
        )

    def page(self, request: HttpRequest, row: ApiKey) -> dict[str, Any]:
        """Whether it lives and may be revoked."""
        may_revoke = row.revoked_at is None and request.user.has_perm("containers_app.revoke_apikey")
        return {"state": _state(row), "may_revoke": may_revoke}

    @admin.display(description="Key")
    def title(self, row: ApiKey) -> SafeString:
        """Name and prefix."""
        address = reverse("admin:containers_app_apikey_change", args=[row.pk])
        line = format_html('<span class="sub-line mono">myco_{}_…</span>', row.prefix)
        return format_html('<a class="strong" href="{}">{}</a>{}', address, foreign(row.name), line)

    @admin.display(description="Owner")
    def owner(self, row: ApiKey) -> SafeString:
        """Whose rights bound it."""
        return foreign(row.user)

    @admin.display(description="Scopes")
    def scopes_shown(self, row: ApiKey) -> SafeString:
        """What it may be used for."""
        return foreign(", ".join(row.scopes))

    @admin.display(description="State")
    def state(self, row: ApiKey) -> SafeString:
        """Alive, expired or revoked."""
        return badge(*_state(row))

    @admin.display(description="Expires")
    def expires(self, row: ApiKey) -> SafeString:
        """When it ends by itself."""
        return moment(row.expires_at)

    @admin.display(description="Last used")
    def used(self, row: ApiKey) -> SafeString:
        """To the minute."""
        return moment(row.last_used_at)


def _state(row: ApiKey) -> tuple[str, str]:
    if row.revoked_at:
        return "deleted", "Revoked"
    return ("up", "Alive") if row.is_alive else ("cancelled", "Expired")
