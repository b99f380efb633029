"""The clone's pages: the form, the plan of what would be made, and the confirmation that is bound to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from containers_app.admin.acts import ActView, ReasonForm, request_by, tell
from containers_app.admin.clone_form import CONSISTENCY, DATA, PRIVILEGED, CloneForm
from containers_app.admin.plans import Answer, look_at, own_plan, plan_changed, proposal, unfinished, waited
from containers_app.errors import MycoError
from containers_app.models import Container, Operation
from containers_app.operations.kinds import CLONE
from containers_app.operations.submit import Request, Submitted, submit

_CHANGES = ("env_set", "env_drop", "labels_set", "labels_drop", "restart_policy", "memory", "cpus")


class CloneView(ActView):
    """Clone: one container with its plan before the confirmation, several by what is the same for all."""

    kind = CLONE
    form_class = CloneForm
    form_template = "myco/clone_form.html"
    sentence = "A container of the same configuration and image is created. The source is not changed."

    def post(self, request: HttpRequest) -> HttpResponse:
        """The form again with a proposal laid over it, or as every act."""
        if "use" not in request.POST:
            return super().post(request)
        self.check(request)
        rows = self.rows(request)
        data = request.POST.copy()
        data.update(self._proposal(request, rows))
        return self.show_form(request, self._form(rows, data))

    def _proposal(self, request: HttpRequest, rows: QuerySet[Container]) -> dict[str, str]:
        plan = own_plan(request, CLONE, rows[0].engine_id, rows[0].host) if len(rows) == 1 else None
        return proposal(plan, request.POST["use"], fields=CloneForm.base_fields)

    def make_form(self, rows: QuerySet[Container], data: Any = None) -> CloneForm:
        """With a field for each volume of a single container."""
        return CloneForm(data, rows=list(rows))

    def judge(self, form: ReasonForm, rows: QuerySet[Container]) -> None:
        """Nothing more: for several containers the form has no field that would be one's own."""

    def lines(self, values: dict[str, Any]) -> list[str]:
        """What was chosen; a single container's plan says what differs, several are not planned before."""
        copied = values["content"] != "none" or "copy" in values.values()
        several = "name" not in values
        changed = [name.replace("_", " ") for name in _CHANGES if several and values.get(name)]
        more = {
            dict(DATA)[values["content"]]: True,
            dict(CONSISTENCY)[values["consistency"]]: copied,
            f"On the host {values.get('host')}.": values.get("host"),
            "It is started.": values["start"],
            f"Changed: {', '.join(changed)}.": changed,
            "It may hold the same power over its host as its source.": values["confirm_privileged"],
        }
        return [line for line, wanted in more.items() if wanted]

    def preview(self, request: HttpRequest, form: ReasonForm, rows: QuerySet[Container]) -> HttpResponse:
        """The plan, for one; for several, the words alone."""
        if len(rows) != 1:
            return super().preview(request, form, rows)
        return self._plan_page(
            request, form, rows[0], known=unfinished(request, CLONE, rows[0].engine_id, rows[0].host)
        )

    def _plan_page(
        self,
        request: HttpRequest,
        form: ReasonForm,
        row: Container,
        *,
        known: Operation | None = None,
        changed: bool = False,
    ) -> HttpResponse:
        try:
            wish = self.request_of(request, form, row, dryRun=True)
            operation = waited(Submitted(operation=known) if known else submit(wish))
        except MycoError as error:
            tell(request, error, about=row.name)
            return self.show_form(request, form)
        answer = Answer(
            start=form.cleaned_data["start"],
            confirmed=form.cleaned_data["confirm_privileged"],
            may_confirm=request.user.has_perm(PRIVILEGED),
        )
        return self.page(
            request, "myco/clone_plan.html", form, look=look_at(operation, answer, fields=form.fields), changed=changed
        )

    def act(self, request: HttpRequest, form: ReasonForm, rows: QuerySet[Container]) -> HttpResponse:
        """Bound to the plan that was seen: when it is another one now, that is shown instead."""
        if len(rows) == 1 and not request.POST.get("plan_hash"):
            return self.preview(request, form, rows)
        made = self.submit_all(request, form, rows)
        if len(rows) == 1 and made and plan_changed(made[0]):
            return self._plan_page(request, form, rows[0], changed=True)
        return self.after(request, form, made)

    def request_of(self, request: HttpRequest, form: Any, row: Container, **more: Any) -> Request:
        """With the hash of the plan that was seen, unless it is a plan that is asked for: nobody waits long for one."""
        seen = request.POST.get("plan_hash")
        params = form.params(row, **(more or ({"planHash": seen} if seen else {})))
        wish = request_by(request, kind=self.kind, params=params, host=row.host, form=form)
        return replace(wish, limited=params.dry_run)
