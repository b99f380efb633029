"""Every page of the console in a real Chromium, with hostile names: accessible, silent, inert, and never too wide."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
import pytest
from django.apps import apps
from django.core.management import call_command
from django.urls import reverse
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from containers_app.admin import ledger_list, plans
from containers_app.models import Container
from containers_app.models.access import ensure_groups
from tests.e2e.console_site import Site, Visitor, a_plan, another_container, fill
from tests.machine import PROJECT, chromium, require
from tests.recipes import HOSTILE
from tests.unit.admin.cloning import Worker, planned, stack_plan

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60), pytest.mark.django_db(databases=["default", "audit"])]

View = tuple[Literal["desktop", "phone"], Literal["light", "dark"]]
SIZES: dict[str, ViewportSize] = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
# Two looks at a page: both themes and both widths. The two roles take the two crossings, so all four are looked at.
LIGHT_DESK: tuple[View, View] = (("desktop", "light"), ("phone", "dark"))
DARK_DESK: tuple[View, View] = (("desktop", "dark"), ("phone", "light"))
PICTURES = PROJECT / "test-results" / "console"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}
VIOLATIONS = """async (runOnly) => (await axe.run(document, {runOnly, resultTypes: ['violations']})).violations.map(
  (found) => [found.id, ...found.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + node.failureSummary)])"""
# What is in a box that scrolls by itself is not too wide; nothing else may stick out.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const inside = '.results, .visually-hidden, .cmd, .presets, details:not([open]) > :not(summary)';
  const out = [...document.querySelectorAll('body *')].filter((element) => !element.closest(inside))
    .filter((element) => element.getBoundingClientRect().width && element.getBoundingClientRect().right > width + 1)
    .map((element) => element.outerHTML.slice(0, 120));
  return document.documentElement.scrollWidth > width ? ['the page', ...out] : out;
}"""
# A field's value is what it is, and cannot reach beyond the field.
OBEYED = """() => [...document.querySelectorAll('body, body *')].filter((element) =>
  [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.includes('\u202e')) ||
  [...element.attributes].some((given) => given.name !== 'value' && given.value.includes('\u202e')))
  .map((element) => element.outerHTML.slice(0, 200))"""
REFUSED = "Failed to load resource: the server responded with a status of 40"


def to(name: str, kind: str = "") -> Callable[[dict[str, Any]], str]:
    """The address of a page of the console, of the row of that kind."""
    return lambda rows: reverse(f"admin:{name}", args=[rows[kind].pk] if kind else [])


def act(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda rows: reverse(f"admin:containers_app_container_{name}") + f"?ids={rows['container'].pk}"


def query(name: str, text: str) -> Callable[[dict[str, Any]], str]:
    return lambda rows: reverse(f"admin:{name}") + text


def contents(page: str, kind: str, text: str) -> Callable[[dict[str, Any]], str]:
    """A page of what is in the backup of that kind; `text` may name the one before it."""
    name = f"admin:containers_app_backup_{page}"
    return lambda rows: reverse(name, args=[rows[kind].pk]) + text.format(before=rows["stored-before"].pk)


READ: dict[str, Callable[[dict[str, Any]], str]] = {
    "dashboard": to("index"),
    "containers": to("containers_app_container_changelist"),
    "containers-empty": query("containers_app_container_changelist", "?q=nothing"),
    "container": to("containers_app_container_change", "container"),
    "operations": to("containers_app_operation_changelist"),
    "operation-failed": to("containers_app_operation_change", "operation"),
    "operation-running": to("containers_app_operation_change", "running"),
    "operation-clone": to("containers_app_operation_change", "clone-plain"),
    "operation-clone-hostile": to("containers_app_operation_change", "clone-hostile"),
    "stacks": to("stacks"),
    "stack": lambda rows: reverse("admin:stack", args=["local", "shop"]),
    "coverage": to("coverage"),
    "coverage-state": query("coverage", "?state=partly&host=local"),
    "backups-of-container": lambda rows: (
        reverse("admin:containers_app_backup_changelist") + f"?container={rows['container'].pk}"
    ),
    "backups": to("containers_app_backup_changelist"),
    "backup": to("containers_app_backup_change", "backup"),
    "backup-stored": to("containers_app_backup_change", "stored"),
    "backup-files": contents("files", "stored-before", "?path=etc"),
    "backup-others": contents("compare", "stored", ""),
    "backup-compare": contents("compare", "stored", "?with={before}"),
    "hosts": to("containers_app_dockerhost_changelist"),
    "host": to("containers_app_dockerhost_change", "dockerhost"),
    "ledger": to("audit_entry_changelist"),
    "ledger-filtered": query("audit_entry_changelist", "?since=2020-01-01&until=2020-12-31&phase=event"),
    "ledger-exports": to("audit_entry_exports"),
    "ledger-exports-filtered": query("audit_entry_exports", "?verb=auth.login&denied=true"),
    "ledger-verify": to("audit_entry_verify"),
    "ledger-holds": to("audit_entry_holds"),
    "ledger-timeline": query("audit_entry_timeline", "?actor=1"),
    "ledger-views": query("audit_entry_views", "?denied=true&period=7d"),
    "ledger-entry": to("audit_entry_change", "entry"),
    "ledger-entry-reviewed": to("audit_entry_change", "reviewed"),
    "ledger-proof": to("audit_entry_proof", "entry"),
    "ledger-proof-signed": to("audit_entry_proof", "reviewed"),
    "keys": to("containers_app_apikey_changelist"),
    "key": to("containers_app_apikey_change", "apikey"),
    "password": to("password_change"),
}
ACT: dict[str, Callable[[dict[str, Any]], str]] = {
    "clone": act("clone"),
    "back-up": act("back_up"),
    "stack-clone": lambda rows: reverse("admin:stack_clone", args=["local", "shop"]),
    "ledger-erase": to("audit_entry_erase"),
    "ledger-release": lambda rows: reverse("admin:audit_entry_hold_release", args=[rows["hold"].id]),
    "key-issue": to("containers_app_apikey_issue"),
    "key-revoke": to("containers_app_apikey_revoke", "apikey"),
    "users": to("auth_user_changelist"),
    "user": to("auth_user_change", "user"),
    "user-add": to("auth_user_add"),
    "user-password": to("auth_user_password_change", "user"),
}


@pytest.fixture
def _django_db_helper() -> None:
    """In place of the plugin's: no transaction around a test, no flush after it. The rows are the module's."""


@pytest.fixture(scope="module")
def site(django_db_setup: None, django_db_blocker: Any) -> Iterator[Site]:
    """One live server for all of the module. Its rows are real ones, so the databases are emptied afterwards."""
    require("browser")
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        # Playwright keeps an event loop in this thread, which Django takes for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        ensure_groups(apps)
        patch.setattr(ledger_list, "PER_PAGE", 5)
        server = LiveServer("127.0.0.1")
        try:
            yield fill(server.url)
        finally:
            server.stop()
            for database in ("default", "audit"):
                call_command("flush", database=database, interactive=False, verbosity=0)


@pytest.fixture(scope="module")
def chrome(site: Site) -> Iterator[Browser]:
    """A browser of this module's own: the session's would keep its event loop until the last test."""
    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=chromium())
        yield launched
        launched.close()


def visitor(site: Site, chrome: Browser, role: str, **options: Any) -> Visitor:
    context = chrome.new_context(viewport=SIZES["desktop"], reduced_motion="reduce", **options)
    if role in site.sessions:
        context.add_cookies([{"name": "sessionid", "value": site.sessions[role], "url": site.address}])
    made = Visitor(site, context, context.new_page())
    made.listen()
    return made


@pytest.fixture(scope="module")
def superuser(site: Site, chrome: Browser) -> Iterator[Visitor]:
    made = visitor(site, chrome, "superuser")
    yield made
    made.context.close()


@pytest.fixture(scope="module")
def auditor(site: Site, chrome: Browser) -> Iterator[Visitor]:
    made = visitor(site, chrome, "auditor")
    yield made
    made.context.close()


def check(guest: Visitor, name: str, views: tuple[View, View] = LIGHT_DESK) -> None:
    """What holds for every page; all that is wrong is told together."""
    page = guest.page
    wrong = [f"said: {line}" for line in guest.noise]  # before axe: it tries an inline style, which the policy refuses
    wrong += inertness(page)
    page.evaluate(AXE)
    for size, theme in views:
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=theme)
        picture(page, f"{name}-{size}-{theme}")
        wrong += [f"{size}, {theme}: {found}" for found in page.evaluate(VIOLATIONS, RULES)]
        wrong += [f"{size}: too wide: {found}" for found in page.evaluate(TOO_WIDE)]
    page.set_viewport_size(SIZES["desktop"])
    assert not wrong, "\n".join(wrong)


def inertness(page: Page) -> list[str]:
    """Markup and control characters of the rows that became part of the page."""
    alive = page.locator('img[src="x"], [onerror], main script:not([src])').count()
    obeyed: list[str] = page.evaluate(OBEYED)
    twice = "&quot;" in page.inner_text("body")
    return (
        ["markup came alive"] * bool(alive)
        + ["escaped twice"] * twice
        + [f"the direction is switched: {html}" for html in obeyed]
    )


def picture(page: Page, name: str) -> None:
    """For a person's eyes, when MYCO_PICTURES asks for them."""
    if os.environ.get("MYCO_PICTURES"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.mark.parametrize("name", [*READ, *ACT])
def test_every_page_of_a_superuser(superuser: Visitor, name: str) -> None:
    assert superuser.open({**READ, **ACT}[name](superuser.site.rows)) == 200
    check(superuser, name)


@pytest.mark.parametrize("name", READ)
def test_every_page_of_an_auditor(auditor: Visitor, name: str) -> None:
    assert auditor.open(READ[name](auditor.site.rows)) == 200
    check(auditor, f"auditor-{name}", DARK_DESK)


def test_what_an_auditor_may_not_open_says_so_in_the_same_look(auditor: Visitor) -> None:
    for address in ACT.values():
        assert auditor.open(address(auditor.site.rows)) == 403
    auditor.noise[:] = [line for line in auditor.noise if REFUSED not in line]
    check(auditor, "refused")


def test_a_page_that_is_not_there_says_so_in_the_same_look(superuser: Visitor) -> None:
    assert superuser.open("/admin/containers_app/container/999999/change/") == 404
    superuser.noise[:] = [line for line in superuser.noise if REFUSED not in line]
    check(superuser, "not-found")


def test_signing_in(site: Site, chrome: Browser) -> None:
    guest = visitor(site, chrome, "nobody")
    assert guest.open(reverse("admin:login")) == 200
    check(guest, "login")
    guest.noise.clear()
    guest.page.fill("#id_username", "root")
    guest.page.fill("#id_password", "wrong")
    guest.page.click("#login-form [type=submit]")
    expect(guest.page.locator(".errornote")).to_be_visible()
    check(guest, "login-refused")
    guest.context.close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Ends what the console submits; nobody waits long for what it does not end."""
    made = Worker()
    monkeypatch.setattr("containers_app.admin.clone_view.submit", made.submit)
    monkeypatch.setattr("containers_app.admin.planned.submit", made.submit)
    monkeypatch.setattr(plans, "PLAN_SECONDS", 0.01)
    return made


@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_the_plan_of_a_clone_its_proposal_and_its_form(superuser: Visitor, worker: Worker, name: str) -> None:
    page = superuser.page
    word = {"plain": "adguard-2", "hostile": HOSTILE}[name]
    worker.ends = [{**planned(), "plan": a_plan(word)}]
    superuser.open(ACT["clone"](superuser.site.rows))
    page.get_by_text("More that may differ").click()
    page.fill("#id_env_set", "PASSWORD=hunter2")
    check(superuser, f"clone-form-{name}")
    superuser.noise.clear()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Clone", exact=True)).to_be_disabled()
    check(superuser, f"clone-plan-{name}")
    superuser.noise.clear()
    page.get_by_role("button", name="Use this proposal").first.click()
    expect(page.locator("#id_ports")).to_have_value("8081:80")
    expect(page.locator("#id_env_set")).to_have_value("PASSWORD=hunter2")
    check(superuser, f"clone-form-proposal-{name}")


@pytest.mark.parametrize("word", ["shop", HOSTILE], ids=["plain", "hostile"])
def test_the_plan_of_the_clone_of_a_stack(superuser: Visitor, worker: Worker, word: str) -> None:
    worker.ends = [planned(**stack_plan(word))]
    superuser.open(ACT["stack-clone"](superuser.site.rows))
    superuser.page.fill("#id_new_project", "shop-2")
    superuser.page.get_by_role("button", name="Go on").click()
    expect(superuser.page.get_by_role("button", name="Clone the stack")).to_be_enabled()
    check(superuser, f"stack-clone-plan-{'plain' if word == 'shop' else 'hostile'}")


def test_a_plan_that_is_late_offers_to_look_again(superuser: Visitor, worker: Worker) -> None:
    superuser.open(ACT["clone"](superuser.site.rows))
    superuser.page.get_by_role("button", name="Go on").click()
    expect(superuser.page.get_by_role("button", name="Look again")).to_be_enabled()
    check(superuser, "clone-plan-late")


def test_a_clone_is_planned_and_confirmed_without_script(site: Site, chrome: Browser, worker: Worker) -> None:
    guest = visitor(site, chrome, "superuser", java_script_enabled=False)
    worker.ends = [planned(), {"plan": {}}]
    guest.open(reverse("admin:containers_app_container_clone") + f"?ids={Container.objects.get(name='adguard').pk}")
    page = guest.page
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("HostConfig.Memory")).to_be_visible()
    page.get_by_role("button", name="Clone", exact=True).click()
    expect(page.locator("h1")).to_contain_text("Clone")
    assert "/operation/" in page.url
    guest.context.close()


def test_a_clone_form_of_several_with_its_errors(superuser: Visitor) -> None:
    ids = ",".join(str(row.pk) for row in Container.objects.filter(stack="shop"))
    superuser.open(reverse("admin:containers_app_container_clone") + f"?ids={ids}")
    superuser.page.get_by_text("More that may differ").click()
    superuser.page.fill("#id_memory", "much")
    superuser.page.get_by_role("button", name="Go on").click()
    expect(superuser.page.locator(".errorlist")).to_be_visible()
    check(superuser, "clone-form-errors")


@pytest.mark.parametrize("name", ["back-up"])
def test_the_page_that_confirms_an_act(superuser: Visitor, name: str) -> None:
    superuser.open(ACT[name](superuser.site.rows))
    superuser.page.fill("#id_reason", "before the upgrade")
    superuser.page.click("#content-main [type=submit]")
    expect(superuser.page.get_by_text("What will happen")).to_be_visible()
    check(superuser, f"{name}-confirm")


def test_a_new_key_is_shown_after_a_form_with_its_errors(superuser: Visitor) -> None:
    superuser.open(ACT["key-issue"](superuser.site.rows))
    page = superuser.page
    page.fill("#id_name", "nightly")
    page.select_option("#id_user", str(superuser.site.rows["user"].pk))
    page.evaluate("document.querySelector('#content-main').noValidate = true")
    page.click("#content-main [type=submit]")
    expect(page.locator(".errorlist")).to_be_visible()
    check(superuser, "key-issue-errors")
    superuser.noise.clear()
    page.check("input[name=scopes][value=read]")
    page.click("#content-main [type=submit]")
    expect(page.locator("code")).to_have_text(re.compile("^myco_"))
    check(superuser, "key-issued")


def test_the_list_of_containers_renews_itself_and_keeps_what_is_chosen(superuser: Visitor) -> None:
    page = superuser.context.new_page()
    page.clock.install()
    page.goto(superuser.site.address + READ["containers"](superuser.site.rows))
    chosen = page.get_by_label("Choose adguard")
    chosen.check()
    expect(page.locator(".action-counter")).to_have_text("1 of 8 selected")
    Container.objects.filter(name="adguard").update(state="exited", exit_code=3)
    late = another_container()
    page.clock.run_for(5_100)
    expect(page.get_by_text("code 3")).to_be_visible()
    expect(page.get_by_text("late-1", exact=True)).to_be_visible()
    expect(chosen).to_be_checked()
    expect(page.locator(".action-counter")).to_have_text("1 of 9 selected")
    late.delete()
    page.close()


def test_the_list_does_not_ask_while_its_tab_is_hidden(superuser: Visitor) -> None:
    page = superuser.context.new_page()
    page.clock.install()
    page.goto(superuser.site.address + READ["containers"](superuser.site.rows))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/admin/" in request.url else None)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.clock.run_for(20_000)
    assert asked == []
    page.evaluate("delete document.hidden")
    with page.expect_request("**/container/"):
        page.clock.run_for(5_100)
    page.close()


def test_a_session_that_ended_shows_the_sign_in_and_not_an_empty_page(site: Site, chrome: Browser) -> None:
    guest = visitor(site, chrome, "auditor")
    guest.page.clock.install()
    guest.open(READ["containers"](site.rows))
    guest.context.clear_cookies()
    guest.page.clock.run_for(5_100)
    expect(guest.page.locator("#id_password")).to_be_visible()
    guest.context.close()


def test_the_list_of_containers_works_without_script(site: Site, chrome: Browser) -> None:
    guest = visitor(site, chrome, "superuser", java_script_enabled=False)
    guest.open(READ["containers"](site.rows))
    page = guest.page
    heads = page.locator("tr.group .strong").all_inner_texts()
    assert heads[-3:] == ["paperless", "shop", "Standalone"]
    page.get_by_role("link", name="shop", exact=True).first.click()
    assert page.url.endswith("?stack=shop")
    page.get_by_label("Choose shop-web-1").check()
    page.select_option("select[name=action]", "back_up_selected")
    page.click("#changelist-form button[name=index]")
    expect(page.locator("h1")).to_have_text("Back up shop-web-1")
    guest.context.close()


def test_the_report_of_a_page_finds_what_is_wrong(superuser: Visitor) -> None:
    superuser.open(READ["host"](superuser.site.rows))
    page = superuser.page
    page.evaluate("console.log('hello')")
    page.evaluate("document.querySelector('main').append(Object.assign(new Image(), {src: 'x'}))")
    page.evaluate("document.querySelector('h1').append('W'.repeat(2000) + '\\u202e')")
    with pytest.raises(AssertionError) as told:
        check(superuser, "wrong")
    assert [word for word in ("said", "alive", "direction", "image-alt") if word not in str(told.value)] == []
