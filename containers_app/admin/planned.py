"""An act on one subject that is planned before it is confirmed: form, plan, and exactly what was planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.acts import ReasonForm, request_by, tell
from containers_app.admin.base import refused
from containers_app.admin.clone_form import PRIVILEGED
from containers_app.admin.plans import Answer, look_at, own_plan, plan_changed, proposal, unfinished, waited
from containers_app.errors import InvalidRequest, MycoError
from containers_app.models import DockerHost
from containers_app.operations.kinds import Kind
from containers_app.operations.submit import Submitted, submit


class ApiForm(ReasonForm):
    """Read by the same reader as the API. `api_fields`: each field of the request, and the form's for it."""

    api_fields: ClassVar[Mapping[str, str]]

    def read(self, given: Mapping[str, Any]) -> Any:
        """The typed params of a request's body. Raises InvalidRequest."""
        raise NotImplementedError

    def params(self, **more: Any) -> Any:
        """The typed params of a valid form; `more` are further fields of the request."""
        values = self.cleaned_data
        given = {name: values[field] for name, field in self.api_fields.items() if values.get(field)}
        return self.read({**given, **more})

    def clean(self) -> dict[str, Any]:
        """What the reader refuses is told at the field."""
        values = super().clean() or {}
        if not self.errors:
            try:
                self.params()
            except InvalidRequest as error:
                field = self.api_fields.get(error.field or "")
                self.add_error(field if field in self.fields else None, error.message)
        return values


class PlannedView(View):
    """Form, plan, confirmation. What the act is about (`subject`) is found by the address."""

    kind: ClassVar[Kind]
    noun: ClassVar[str]
    form_template: ClassVar[str]
    plan_template: ClassVar[str]

    def get(self, request: HttpRequest, **address: Any) -> HttpResponse:
        """The empty form."""
        subject = self._found(request, address)
        return self._page(
            request, self.form_template, subject, self.first_form(request, subject).needing(self.kind.action)
        )

    def post(self, request: HttpRequest, **address: Any) -> HttpResponse:
        """First the plan, then, confirmed, exactly that."""
        subject, data = self._found(request, address), request.POST.copy()
        form = self.make_form(subject, data).needing(self.kind.action)
        if "use" in data and form.is_valid():
            plan = own_plan(request, self.kind, self.key(subject), self.host(subject, form))
            data.update(proposal(plan, request.POST["use"], fields=form.fields))
            form = self.make_form(subject, data).needing(self.kind.action)
        if not form.is_valid() or {"back", "use"} & set(data):
            return self._page(request, self.form_template, subject, form)
        if "confirmed" in data and data.get("plan_hash"):
            return self._act(request, subject, form)
        return self._plan(request, subject, form)

    def find(self, request: HttpRequest, **address: Any) -> Any:
        """The subject. Raises Http404 where there is none that the user may see."""
        raise NotImplementedError

    def make_form(self, subject: Any, data: Any = None) -> ApiForm:
        """The form for it."""
        raise NotImplementedError

    def first_form(self, request: HttpRequest, subject: Any) -> ApiForm:
        """The form as it is opened."""
        return self.make_form(subject)

    def host(self, subject: Any, form: ApiForm) -> DockerHost:
        """The one that the operation belongs to."""
        raise NotImplementedError

    def key(self, subject: Any) -> str:
        """What the operation's params call it."""
        raise NotImplementedError

    def called(self, subject: Any) -> str:
        """What people call it."""
        raise NotImplementedError

    def lines(self, values: Mapping[str, Any]) -> list[str]:
        """More of what will happen, by what was filled in."""
        raise NotImplementedError

    def context(self, subject: Any, form: ApiForm) -> dict[str, Any]:
        """What the pages show besides: at least `title`, `verb` and `sentence`."""
        raise NotImplementedError

    def check(self, subject: Any) -> None:
        """Raise MycoError where it cannot be done at all."""

    def _found(self, request: HttpRequest, address: Mapping[str, Any]) -> Any:
        """Refuse who may not; the same refusal whether the subject is there or not."""
        if not request.user.has_perm(self.kind.permission):
            raise refused(request, f"you may not {self.noun}")
        return self.find(request, **address)

    def _submitted(self, request: HttpRequest, subject: Any, form: ApiForm, **bound: Any) -> Submitted:
        self.check(subject)
        params = form.params(**bound)
        wish = request_by(request, kind=self.kind, params=params, host=self.host(subject, form), form=form)
        return submit(replace(wish, limited=params.dry_run))

    def _plan(self, request: HttpRequest, subject: Any, form: ApiForm, *, changed: bool = False) -> HttpResponse:
        try:
            known = unfinished(request, self.kind, self.key(subject), self.host(subject, form))
            made = Submitted(operation=known) if known else self._submitted(request, subject, form, dryRun=True)
            operation = waited(made)
        except MycoError as error:
            tell(request, error, about=self.called(subject))
            return self._page(request, self.form_template, subject, form)
        values, may_confirm = form.cleaned_data, request.user.has_perm(PRIVILEGED)
        answer = Answer(start=values["start"], confirmed=values["confirm_privileged"], may_confirm=may_confirm)
        more = {"look": look_at(operation, answer, fields=form.fields), "changed": changed, "lines": self.lines(values)}
        return self._page(request, self.plan_template, subject, form, **more)

    def _act(self, request: HttpRequest, subject: Any, form: ApiForm) -> HttpResponse:
        """Bound to the plan that was seen: when it is another one now, that is shown instead."""
        try:
            operation = self._submitted(request, subject, form, planHash=request.POST["plan_hash"]).operation
        except MycoError as error:
            tell(request, error, about=self.called(subject))
            return self._page(request, self.form_template, subject, form)
        if plan_changed(operation):
            return self._plan(request, subject, form, changed=True)
        messages.success(request, "1 operation submitted.")
        return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[operation.pk]))

    def _page(self, request: HttpRequest, template: str, subject: Any, form: ApiForm, **more: Any) -> HttpResponse:
        own = self.context(subject, form)
        return TemplateResponse(request, template, {**admin.site.each_context(request), "form": form, **own, **more})
