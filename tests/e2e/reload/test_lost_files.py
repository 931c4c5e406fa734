"""Files of the service that are removed or cannot be read any more: an upgrade and a reload go on
with what was read before, or report the error. Clients are served in every case."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import (
    PORTS,
    Backends,
    Balancer,
    echo,
    has_ended,
    held,
    names,
    one_pool,
    program,
    read_line,
    run,
    toml,
    until,
)
from ..harness.secure import Authority, secure
from ..upgrade.test_upgrade import FAILS_ONCE

TOKEN = "0123456789abcdef0123456789abcdef"
DENIED = "127.0.0.9"
# Files that only a new reading of the configuration needs.
READ_BY_RELOAD = ("l4lb.toml", "more.toml")


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(2) as running:
        yield running


class Files:
    """A service with the listeners web (access lists), secure (TLS), inner (TLS to its pool) and
    found (discovery, in an included file), with a dashboard, and with all files that it reads."""

    def __init__(self, folder: Path, backends: Backends, ca: Authority) -> None:
        self.context = ca.client()
        server, to_pool = ca.issue("localhost"), ca.issue("client")
        paths = {name: folder / name for name in ("deny", "allow", "token", "found.json")}
        paths["deny"].write_text(f"{DENIED}\n")
        paths["allow"].write_text("127.0.0.1\n")
        paths["token"].write_text(TOKEN + "\n")
        paths["found.json"].write_text(json.dumps(backends.addresses))
        process = {"workers": 1, "http": f"127.0.0.1:{PORTS.take()}", "http_admin": True}
        process["http_token_file"] = str(paths["token"])
        config = one_pool(f"127.0.0.1:{PORTS.take()}", backends.rows(), process=process)
        listeners, pools = config["listeners"], config["pools"]
        for name, pool in (("secure", "web"), ("inner", "inner"), ("found", "found")):
            listeners[name] = {"bind": [f"127.0.0.1:{PORTS.take()}"], "pool": pool}
        lists = {f"{name}_file": str(paths[name]) for name in ("deny", "allow")}
        listeners["web"]["access"] = lists
        listeners["secure"]["tls"] = {"certificates": [server]}
        pools["inner"] = {"backends": ["127.0.0.1:9"], "tls": {"ca": ca.path, **to_pool}}
        pools["found"] = {"discovery": {"type": "file", "path": str(paths["found.json"])}}
        self.balancer = Balancer(config)
        more = self.balancer.folder / "more.toml"
        self.lost = [self.balancer.folder / "l4lb.toml", more, *paths.values()]
        self.lost += map(Path, [ca.path, *server.values(), *to_pool.values()])

    def include(self) -> None:
        """Moves a part of the configuration into a file of its own."""
        lb = self.balancer
        assert lb.config
        pools = {**lb.config["pools"]}
        more = {"pools": {"found": pools.pop("found")}}
        (lb.folder / "more.toml").write_text(toml(more))
        main = 'include = ["more.toml"]\n' + toml({**lb.config, "pools": pools})
        (lb.folder / "l4lb.toml").write_text(main)
        lb.admin("reload")


def served(files: Files, old: socket.socket) -> None:
    """Checks old sessions and new clients of every kind."""
    lb = files.balancer
    old.sendall(b"x")
    assert old.recv(1) == b"x"
    for listener in ("web", "found"):
        with client(lb, listener) as new:
            assert read_line(new)
    with secure(client(lb, "secure"), files.context) as peer:
        assert peer.recv(1) in (b"a", b"b")
    with pytest.raises(ConnectionResetError), client(lb, "web", DENIED) as refused:
        read_line(refused)


def client(lb: Balancer, listener: str, source: str = "127.0.0.1") -> socket.socket:
    host, _, port = lb.binds(listener)[0].rpartition(":")
    return socket.create_connection((host, int(port)), 20, (source, 0))


def ask(lb: Balancer, command: str) -> str:
    """Returns "" if the command succeeds, else its error."""
    old = lb.pids()
    done = run("admin", "--socket", lb.socket, command)
    if done.returncode == 0 and command == "upgrade":
        until(lambda: all(map(has_ended, old)), "the old workers are gone")
    return done.stderr if done.returncode else ""


def removed(path: Path) -> None:
    path.unlink()


def a_folder_in_its_place(path: Path) -> None:
    """Puts a folder in the file's place, which not even root can read."""
    path.unlink()
    path.mkdir()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("lose", [removed, a_folder_in_its_place])
def test_no_file_that_is_lost_ends_the_service(
    backends: Backends, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    with Authority() as ca:
        files = Files(tmp_path, backends, ca)
        with files.balancer as lb, client(lb, "web") as old:
            read_line(old)
            files.include()
            until(lambda: len(lb.ask("backends")) == 5, "backends are found")
            for path in files.lost:
                content = path.read_bytes()
                lose(path)
                assert ask(lb, "upgrade") == "", f"{path}: an upgrade needs no file"
                served(files, old)
                said = ask(lb, "reload")
                assert path.name in said or (not said and path.name not in READ_BY_RELOAD), said
                served(files, old)
                if path.is_dir():
                    path.rmdir()
                path.write_bytes(content)
                # The upgrade after this file is back is also the one without the next file.
                assert (path.name, ask(lb, "reload")) == (path.name, "")
            assert ask(lb, "upgrade") == ask(lb, "reload") == ""
            served(files, old)


def test_the_program_that_is_put_back_needs_no_file(backends: Backends, tmp_path: Path) -> None:
    with Authority() as ca, fails_once(tmp_path) as (current, new):
        files = Files(tmp_path, backends, ca)
        files.balancer.command = [str(current / "l4lb")]
        with files.balancer as lb, client(lb, "web") as old:
            read_line(old)
            files.include()
            until(lambda: len(lb.ask("backends")) == 5, "backends are found")
            for path in files.lost:
                path.unlink()
            current.unlink()
            current.symlink_to(new)
            assert "the old one goes on" in ask(lb, "upgrade")
            served(files, old)
            assert sum(names(lb, 4).values()) == 4


@contextlib.contextmanager
def fails_once(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Makes a link to the folder of the program in use, and another folder with a program that
    fails."""
    for version in ("old", "new"):
        (folder / version).mkdir()
    shutil.copy(program()[0], folder / "old" / "l4lb")
    (folder / "sitecustomize.py").write_text(FAILS_ONCE)
    script = f'#!/bin/sh\nFAIL_ONCE=1 PYTHONPATH={folder} exec {program()[0]} "$@"\n'
    (folder / "new" / "l4lb").write_text(script)
    (folder / "new" / "l4lb").chmod(0o755)
    current = folder / "current"
    current.symlink_to("old")
    yield current, folder / "new"


def test_what_only_the_new_program_could_not_have_is_told_before_anything_happens(
    backends: Backends, tmp_path: Path
) -> None:
    lb = Balancer.before(backends.rows(), workers=1)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PORTS.taken())
        other = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        stack.enter_context(lb)
        clients = stack.enter_context(held(lb, 3))
        pids = lb.pids()
        configure(lb, http=f"127.0.0.1:{port}", http_admin=True)
        assert "Address already in use" in ask(lb, "upgrade")
        other.close()
        configure(lb, http_token_file=str(tmp_path / "token"))
        assert str(tmp_path / "token") in ask(lb, "upgrade")
        assert lb.pids() == pids
        (tmp_path / "token").write_text(TOKEN)
        assert ask(lb, "upgrade") == ""
        socket.create_connection(("127.0.0.1", port)).close()
        for seed, (one, _) in enumerate(clients):
            echo(one, seed, 1_000)


def configure(lb: Balancer, **process: Any) -> None:
    assert lb.config
    lb.config["process"] |= process
    (lb.folder / "l4lb.toml").write_text(toml(lb.config))
    lb.admin("reload")


def test_check_reads_the_token_and_tells_all_that_is_wrong(tmp_path: Path) -> None:
    process = {"http": "127.0.0.1:1", "http_admin": True, "http_token_file": f"{tmp_path}/token"}
    config = one_pool("127.0.0.1:2", ["127.0.0.1:3"], process=process)
    config["listeners"]["web"]["access"] = {"deny_file": f"{tmp_path}/deny"}
    file = tmp_path / "l4lb.toml"
    file.write_text(toml(config))
    (tmp_path / "token").write_text("short")
    told = run("check", "-c", str(file)).stderr
    assert f"process.http_token_file: {tmp_path}/token has no token of 16" in told
    assert f"{tmp_path}/deny" in told
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "deny").write_text("")
    assert run("check", "-c", str(file)).returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_a_service_that_became_another_user_is_upgraded_with_its_token(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = python_for("nobody")
    if python is None:
        pytest.skip("nobody may not run a Python that has l4lb")
    monkeypatch.setenv("PYTHONPATH", sysconfig.get_path("purelib"))
    process = {"user": "nobody", "http": f"127.0.0.1:{PORTS.take()}", "http_admin": True}
    config = one_pool(f"127.0.0.1:{PORTS.take()}", backends.rows(), process=process)
    lb = Balancer(config, command=[python, "-m", "l4lb"])
    with lb, held(lb, 3) as clients:
        token = Path(lb.socket).with_name("http.token")
        assert (token.owner(), token.stat().st_mode & 0o777) == ("nobody", 0o600)
        for _ in range(2):
            assert ask(lb, "upgrade") == ""
            assert lb.status()["pid"] == lb.process.pid
        token.unlink()
        assert ask(lb, "upgrade") == ""
        for seed, (one, _) in enumerate(clients):
            echo(one, seed, 1_000)


def python_for(user: str) -> str | None:
    """Returns a Python that this user may run and that imports l4lb."""
    path = sysconfig.get_path("purelib")
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [python, "-c", "import ssl, l4lb.native.table"], user=user, check=True, timeout=60,
                env={"PYTHONPATH": path}, cwd="/", stderr=subprocess.DEVNULL,
            )  # fmt: skip
            return python
    return None
