"""`l4lb admin` without a command, on a terminal: a prompt with history and completion.

A line is what follows `l4lb admin` in a shell. Completions come from the rows of the command line,
and names of backends from the running service.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from l4lb import owned
from l4lb.cli.words import candidates
from l4lb.errors import L4lbError

LEAVE = ("exit", "quit")
HISTORY_MODE = 0o600


class Words(Completer):
    """Completes the word before the cursor."""

    def __init__(self, group: click.Group, path: str) -> None:
        self._group = group
        self._path = path

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterator[Completion]:
        before = document.text_before_cursor.split()
        last = "" if document.text_before_cursor[-1:].isspace() or not before else before.pop()
        for word, meaning in candidates(self._group, before, self._path).items():
            if word.startswith(last):
                yield Completion(word, start_position=-len(last), display_meta=meaning)


def history_path() -> str:
    """Returns the file of earlier lines, which belongs to this user alone."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "l4lb", "admin_history")


def _history() -> History:
    """Returns the lines of earlier sessions; none if no file can be kept."""
    path = history_path()
    try:
        with owned.folder(os.path.dirname(path)) as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            os.close(folder.open(os.path.basename(path), flags, HISTORY_MODE))
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def lines(session: PromptSession[str]) -> Iterator[str]:
    """Yields the lines that are typed, until the end of input. Ctrl-C drops a line."""
    while True:
        try:
            yield session.prompt("l4lb> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def run(group: click.Group, path: str) -> None:
    """Reads and carries out lines until the user leaves."""
    session: PromptSession[str] = PromptSession(
        history=_history(), completer=Words(group, path), complete_while_typing=False
    )
    click.echo(f"l4lb on {path}: Tab completes, `help` lists the commands, Ctrl-D leaves")
    for line in lines(session):
        if line.strip() in LEAVE:
            return
        carry_out(group, path, line)


def carry_out(group: click.Group, path: str, line: str) -> None:
    """Carries out one line; an error in it is shown, and the prompt goes on."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        click.echo(f"{error}; quotes come in pairs", err=True)
        return
    if not words:
        return
    if words[0] == "help":
        words = [*words[1:], "--help"]
    with _told():
        group.main(
            ["--socket", path, *words], prog_name="l4lb admin", standalone_mode=False
        )  # fmt: skip


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except L4lbError as error:
        click.echo(error.message, err=True)
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
    except (click.exceptions.Exit, click.exceptions.Abort, KeyboardInterrupt):
        pass
    except OSError as error:
        click.echo(f"l4lb: {error}", err=True)
