"""Completion for the prompt and for shells, and man pages made from the same commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from l4lb.cli import admin as front
from l4lb.cli.prompt import Words, carry_out, history_path
from l4lb.cli.words import candidates
from l4lb.control.commands import COMMANDS
from l4lb.control.views.condition_names import CONDITIONS as NAMES
from l4lb.control.views.conditions import CONDITIONS
from tests.e2e.harness.program import program
from tests.unit.cli.conftest import Admin, L4lb


def completed(path: str, text: str) -> list[str]:
    words = Words(front.command, path)
    found = words.get_completions(Document(text), CompleteEvent(completion_requested=True))
    return [one.text for one in found]


def test_commands_are_completed(admin: Admin) -> None:
    assert set(COMMANDS) | {"top"} <= set(completed(admin.path, ""))
    assert completed(admin.path, "dra") == ["drain"]


def test_names_of_backends_come_from_the_balancer(admin: Admin) -> None:
    names = [name for name in completed(admin.path, "drain ") if not name.startswith("-")]
    assert names == ["web/a", "web/b"]
    assert completed(admin.path, "drain web/b") == ["web/b"]
    assert completed(admin.path, "kill --backend ") == ["web/a", "web/b"]
    assert completed(admin.path, "cache w") == ["warm"]
    assert completed(admin.path, "cache warm urls --li") == ["--listener"]


def test_options_and_conditions_are_completed(admin: Admin) -> None:
    assert completed(admin.path, "wait backend-d") == ["backend-drained", "backend-down"]
    assert completed(admin.path, "sessions --lim") == ["--limit"]
    assert completed(admin.path, "no-such-command ") == []


def test_nobody_answering_completes_no_names(tmp_path: Path) -> None:
    assert completed(str(tmp_path / "none"), "drain w") == []
    assert "drain" in candidates(front.command, [], str(tmp_path / "none"))


def test_every_condition_has_its_meaning() -> None:
    assert set(NAMES) == set(CONDITIONS)


def test_a_line_of_the_prompt_is_a_command(
    admin: Admin, capsys: pytest.CaptureFixture[str]
) -> None:
    carry_out(front.command, admin.path, "backends")
    assert "web/a" in capsys.readouterr().out
    carry_out(front.command, admin.path, "help drain")
    assert "Usage: l4lb admin drain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "No such command"),
        ('drain "web', "quotes come in pairs"),
        ("weight web/a many", "not a valid integer"),
        ("wait sessions-below x", "not a whole number"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_a_wrong_line_is_told_and_the_prompt_goes_on(
    admin: Admin, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    carry_out(front.command, admin.path, line)
    assert said in capsys.readouterr().err


def test_the_history_is_this_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_path() == f"{tmp_path}/l4lb/admin_history"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(l4lb: L4lb, shell: str) -> None:
    done = l4lb("completion", shell)
    assert done.status == 0
    assert f"_L4LB_COMPLETE={shell}_complete" in done.out


def test_a_shell_completes_names_of_backends(admin: Admin) -> None:
    line = f"l4lb admin --socket {admin.path} drain web/"
    done = subprocess.run(
        program(), capture_output=True, text=True, timeout=60, check=False,
        env={"_L4LB_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": "5", "PATH": ""},
    )  # fmt: skip
    assert done.stdout.split() == ["plain,web/a", "plain,web/b"]


def test_a_man_page_for_each_command(l4lb: L4lb, tmp_path: Path) -> None:
    assert l4lb("man", str(tmp_path / "man1")).status == 0
    written = {path.name for path in (tmp_path / "man1").iterdir()}
    assert {"l4lb.1", "l4lb-run.1", "l4lb-admin.1"} <= written
    assert {f"l4lb-admin-{name}.1" for name in COMMANDS} <= written
    page = (tmp_path / "man1" / "l4lb-admin-wait.1").read_text().replace("\\-", "-")
    assert "--timeout" in page
    assert COMMANDS["wait"].help[:30] in page
