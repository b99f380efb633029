"""Users, without their hashes; each change of them is in the ledger."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ManyToManyField
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from containers_app.admin.base import author_of, moment
from containers_app.audit.verbs import records
from containers_app.operations.accounts import record_changed, record_created, recording_password, rights_of

admin.site.unregister(User)
admin.site.unregister(Group)  # the product keeps its groups; a change here would leave no trace in the ledger


@admin.register(User)
class ConsoleUserAdmin(UserAdmin):  # type: ignore[type-arg] # no parameter at run time
    """Users and their groups; only superusers make superusers."""

    verbs: ClassVar[tuple[str, ...]] = (
        *("access.user_created", "access.user_changed", "access.user_enabled", "access.user_disabled"),
        "access.roles_changed",
    )
    list_display = ("username", "is_active", "is_staff", "group_names", "signed_in")
    sortable_by: ClassVar[Any] = ()
    filter_horizontal: ClassVar[Any] = ()
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("username", "password")}),
        ("Personal info", {"fields": ("first_name", "last_name", "email")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("signed_in", "joined")}),
    )
    formfield_overrides: ClassVar[Any] = {ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}

    @admin.display(description="Last log-in")
    def signed_in(self, user: User) -> SafeString:
        """When, in UTC."""
        return moment(user.last_login)

    @admin.display(description="Joined")
    def joined(self, user: User) -> SafeString:
        """When, in UTC."""
        return moment(user.date_joined)

    @admin.display(description="Groups")
    def group_names(self, user: User) -> str:
        """The groups."""
        return ", ".join(user.groups.values_list("name", flat=True)) or "none"

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """What could raise one's own rights."""
        fixed = () if request.user.is_superuser else ("is_superuser", "user_permissions")
        own = ("groups",) if obj is not None and obj.pk == request.user.pk and not request.user.is_superuser else ()
        return (*fixed, *own, "signed_in", "joined")

    def get_exclude(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """No hash for who only looks."""
        return () if self.has_change_permission(request, obj) else ("password",)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Without the password for who only looks."""
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "password"]})
            for title, options in fieldsets
        ]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A superuser is changed by superusers only: whoever sets a password may sign in with it."""
        reaches_up = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not reaches_up and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Never: history keeps its names; deactivate instead."""
        return False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the groups and permissions too, and tell the ledger; both, or none of it."""
        before = rights_of(User.objects.get(pk=form.instance.pk)) | {"is_active": form.initial.get("is_active", True)}
        before |= {name: form.initial[name] for name in ("is_staff", "is_superuser") if name in form.initial}
        super().save_related(request, form, formsets, change)
        if change:
            record_changed(form.instance, author_of(request), before=before, fields=form.changed_data)
        else:
            record_created(form.instance, author_of(request))

    @records("access.password_reset", "access.password_changed")
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Set it, and tell the ledger; both, or none of it."""
        with recording_password(id, author_of(request)):
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response
