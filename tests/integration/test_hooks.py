"""Hooks in real containers: what a command is and has, how one that hangs is ended, and what a failure leaves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from containers_app.engine.exec_verbs import ExecEnd
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import Cancelled, EngineError, HookFailed
from containers_app.specs.hooks import Hook, Hooks, shell
from containers_app.workflows.hooks import hooked
from containers_app.workflows.quiesce import quiet
from tests.integration.hooking import LOG, Recorded, taken_back
from tests.integration.laboratory import Laboratory
from tests.machine import PROJECT, find_program
from tests.throwaway import wait_until

pytestmark = pytest.mark.engine
IDLE = {"Cmd": ["/bin/idle"]}
AFTER = shell(f"echo after >>{LOG}")


def source(lab: Laboratory, **settings: Any) -> str:
    return lab.container({**IDLE, **settings}, start=True)


def run(gateway: EngineGateway, container: str, command: str | list[str], *, timeout_seconds: float = 20) -> ExecEnd:
    words = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    return gateway.run_exec(container, words, timeout_seconds=timeout_seconds, tick=lambda: None)


def lines(gateway: EngineGateway, container: str) -> list[str]:
    """What the hooks wrote down."""
    written = run(gateway, container, f"cat {LOG} 2>/dev/null").output
    return written.split("\\n") if written else []


def processes(lab: Laboratory, container: str) -> list[str]:
    """The command lines in the container, without its own idle process."""
    answer: Any = lab.client.api.top(container)
    commands = [str(row[answer["Titles"].index("CMD")]) for row in answer["Processes"]]
    return [command for command in commands if command not in ("/bin/sh /bin/idle", "sleep 3600")]


def worked(
    gateway: EngineGateway, container: str, hooks: Hooks, *, context: Recorded | None = None, consistency: str = "live"
) -> Recorded:
    recorded = context or Recorded()
    both: Any = recorded
    raw = gateway.inspect(container)
    with hooked(both, gateway, raw, hooks, restarts=consistency == "stop"), quiet(both, gateway, raw, consistency):
        pass
    return recorded


def test_a_command_has_the_containers_user_rights_and_environment_and_no_input(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    container = source(lab, User="sample", Env=["COLOUR=blue"], WorkingDir="/home")
    facts = "id -un; pwd; echo $COLOUR; grep -h CapEff /proc/self/status /proc/1/status | uniq | wc -l; read -r a; tty"
    end = run(gateway, container, facts)
    assert end.exit_code == 1
    assert end.output == "sample\\n/home\\nblue\\n1\\nnot a tty"


def test_words_are_words_and_the_exit_code_is_the_commands_own(lab: Laboratory, gateway: EngineGateway) -> None:
    container = source(lab)
    hostile = "$(touch /tmp/made); `touch /tmp/made` \"'\\ *"
    assert run(gateway, container, ["/bin/echo", hostile]) == ExecEnd(exit_code=0, output=hostile)
    assert run(gateway, container, ["/bin/test", "-e", "/tmp/made"]).exit_code == 1
    assert [run(gateway, container, f"exit {code}").exit_code for code in (0, 1, 42, 255)] == [0, 1, 42, 255]


def test_a_command_that_prints_without_end_is_bounded_and_ended(lab: Laboratory, gateway: EngineGateway) -> None:
    container = source(lab)
    begun = time.monotonic()
    noisy = "printf '\\033]0;title\\007\\033[31m'; while :; do printf 'x\\033[2J\\r'; done"
    assert run(gateway, container, noisy, timeout_seconds=1) == ExecEnd(exit_code=None, left_running=False)
    assert time.monotonic() - begun < 10
    assert processes(lab, container) == []
    ended = run(gateway, container, "head -c 3000000 /dev/zero; printf '\\033[2Jend\\r'")
    assert ended.output.isprintable()
    assert (ended.exit_code, ended.output[-14:]) == (0, "\\x00\\x1b[2Jend")


def test_a_hook_before_that_fails_keeps_the_work_away_and_the_hook_after_runs(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    container, context = source(lab), Recorded()
    with pytest.raises(HookFailed, match="exit code 7"):
        worked(gateway, container, Hooks(before=shell(f"echo before >>{LOG}; exit 7"), after=AFTER), context=context)
    assert lines(gateway, container) == ["before"]
    assert taken_back(context.undo, gateway) == []
    assert lines(gateway, container) == ["before", "after"]


def test_a_hook_before_that_hangs_is_ended_with_all_that_it_started(lab: Laboratory, gateway: EngineGateway) -> None:
    container, context = source(lab), Recorded()
    hanging = shell("(sleep 300 &); setsid sleep 301 & su sample -c 'sleep 302' & trap '' TERM; sleep 303; true")
    with pytest.raises(HookFailed, match="within 1 s and was ended"):
        worked(gateway, container, Hooks(before=hanging, after=AFTER, timeout_seconds=1), context=context)
    assert processes(lab, container) == []
    assert taken_back(context.undo, gateway) == []
    assert lines(gateway, container) == ["after"]


def test_a_cancellation_ends_a_hook_before_that_is_under_way(lab: Laboratory, gateway: EngineGateway) -> None:
    container, context = source(lab), Recorded()

    def cancelled() -> None:
        if processes(lab, container):
            raise Cancelled("enough")

    context.checkpoint = cancelled
    with pytest.raises(Cancelled):
        worked(gateway, container, Hooks(before=shell("sleep 300; true"), after=AFTER), context=context)
    assert processes(lab, container) != []
    assert taken_back(context.undo, gateway) == []
    assert processes(lab, container) == []
    assert lines(gateway, container) == ["after"]


def test_after_a_kill_in_the_middle_the_undo_ends_the_hook_before_and_runs_the_hook_after_once(
    lab: Laboratory, gateway: EngineGateway, tmp_path: Path
) -> None:
    container, kept = source(lab), tmp_path / "undo"
    module = [sys.executable, "-m", "tests.integration.hooking", lab.engine.url, container, str(kept)]
    with subprocess.Popen(module, cwd=PROJECT) as worker:
        wait_until(lambda: kept.exists() and "sleep 300" in processes(lab, container), what="the hook before")
        worker.kill()
    undo = json.loads(kept.read_text())
    assert "sleep" not in kept.read_text()
    assert processes(lab, container) != []
    assert taken_back(undo, gateway) == []
    assert processes(lab, container) == []
    assert lines(gateway, container) == ["before", "after"]


def test_an_undo_in_a_container_that_was_started_anew_or_is_gone_is_done_without_it(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    container, context = source(lab), Recorded()
    with pytest.raises(HookFailed):
        worked(gateway, container, Hooks(before=shell("false"), after=AFTER), context=context)
    gateway.restart(container, timeout_seconds=0)
    assert taken_back(context.undo, gateway) == []
    assert lines(gateway, container) == []
    gateway.remove(container)
    assert taken_back(context.undo, gateway) == []


def test_no_command_is_under_way_when_the_container_is_paused_and_the_hook_after_finds_it_awake(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    container = source(lab)
    under_way: dict[str, Any] = {}
    context = Recorded(on_stage=lambda name: under_way.update({name: gateway.inspect(container)["ExecIDs"]}))
    goes_on = shell(f"exec >&- 2>&-; sleep 0.5; echo before >>{LOG}")
    worked(gateway, container, Hooks(before=goes_on, after=AFTER), context=context, consistency="pause")
    assert under_way["pause the source"] in (None, [])
    assert lines(gateway, container) == ["before", "after"]
    assert (context.undo, context.warnings) == ([], [])


def test_a_stop_within_the_hooks_has_the_hook_after_in_the_new_start(lab: Laboratory, gateway: EngineGateway) -> None:
    container = source(lab)
    begun = gateway.inspect(container)["State"]["StartedAt"]
    context = worked(gateway, container, Hooks(before=shell("true"), after=AFTER), consistency="stop")
    assert gateway.inspect(container)["State"]["StartedAt"] != begun
    assert lines(gateway, container) == ["after"]
    assert (context.undo, context.warnings) == ([], [])


def test_a_hook_after_that_fails_or_hangs_is_a_warning(lab: Laboratory, gateway: EngineGateway) -> None:
    container = source(lab)
    for after in ("exit 9", "sleep 300; true"):
        context = worked(gateway, container, Hooks(after=shell(after), timeout_seconds=1))
        assert (context.warnings, context.undo) == (["HOOK_AFTER_FAILED"], [])
    assert processes(lab, container) == []


def test_a_container_that_does_not_run_has_no_hooks_and_one_that_is_paused_takes_no_command(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    stopped = lab.container(IDLE)
    assert worked(gateway, stopped, Hooks(before=shell("exit 1"), after=AFTER)).warnings == ["HOOKS_SKIPPED"]
    lab.start(stopped)
    gateway.pause(stopped)
    assert worked(gateway, stopped, Hooks(before=shell("exit 1"), after=AFTER)).warnings == ["HOOKS_SKIPPED"]
    with pytest.raises(EngineError, match="paused"):
        run(gateway, stopped, "true")
    gateway.unpause(stopped)
    assert lines(gateway, stopped) == []


def bare_image(lab: Laboratory) -> str:
    """An image with one program and no shell."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(find_program("busybox") or "", "bin/sleep")
    name = f"mycodocker/{lab.word}:bare"
    lab.client.api.import_image_from_data(archive.getvalue(), repository=name.partition(":")[0], tag="bare")
    lab.images.append(name)
    return name


def test_a_container_without_a_shell_says_what_it_lacks_and_takes_words(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    container = source(lab, Image=bare_image(lab), Cmd=["/bin/sleep", "3600"])
    with pytest.raises(HookFailed, match="lacks the program, or /bin/sh"):
        worked(gateway, container, Hooks(before=shell("true")))
    words = Hooks(before=Hook(command=("/bin/sleep", "0")), after=Hook(command=("/bin/sleep", "0")))
    assert worked(gateway, container, words).warnings == []


def test_a_command_that_cannot_be_ended_without_a_shell_is_said_to_go_on(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    container = source(lab, Image=bare_image(lab), Cmd=["/bin/sleep", "3600"])
    with pytest.raises(HookFailed, match="within 1 s and may still run"):
        worked(gateway, container, Hooks(before=Hook(command=("/bin/sleep", "300")), timeout_seconds=1))
    assert processes(lab, container) == ["/bin/sleep 3600", "/bin/sleep 300"]
