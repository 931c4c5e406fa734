"""Secrets are only where they must be: the test plants them, then searches the memory of each
process and everything that the service writes."""

from __future__ import annotations

import json
import os
import urllib.request
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..harness import PORTS, Backends, Balancer, run, toml, until
from ..harness.secure import Authority, secure

CHUNK = 16 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
SPECIAL = ("[vvar]", "[vsyscall]", "[vvar_vclock]")


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


def needles(path: str) -> list[bytes]:
    """Returns a private key as it may be in memory: a line of its file, and a prime in both byte
    orders."""
    text = Path(path).read_bytes()
    key = load_pem_private_key(text, None)
    assert isinstance(key, RSAPrivateKey)
    prime = key.private_numbers().p
    size = (prime.bit_length() + 7) // 8
    return [text.splitlines()[5], prime.to_bytes(size, "big"), prime.to_bytes(size, "little")]


def has_pages(pages: BinaryIO, at: int, size: int) -> bool:
    """Returns whether a page of this memory is there, or swapped out (proc_pid_pagemap(5))."""
    pages.seek(at // PAGE * 8)
    there = array("Q", pages.read(size // PAGE * 8))
    return bool(there) and max(there) >> 62 != 0


def memory(pid: int, *, shared: bool) -> Iterator[bytes]:
    """Yields what a process can read of its own memory, in pieces that overlap. shared: includes
    memory shared with others, which is large and need be read in one process only. Of its private
    memory, pieces are left out in which there was never a page."""
    with (
        open(f"/proc/{pid}/maps") as maps,
        open(f"/proc/{pid}/mem", "rb", buffering=0) as mem,
        open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages,
    ):
        for line in maps:
            span, rights, *rest = line.split()
            if "r" not in rights or rest[-1] in SPECIAL or ("s" in rights and not shared):
                continue
            at, end = (int(one, 16) for one in span.split("-"))
            while at < end:
                size = min(CHUNK, end - at)
                try:
                    if "s" in rights or has_pages(pages, at, size):
                        mem.seek(at)
                        yield mem.read(size)
                except OSError:
                    break  # memory of a device, or unmapped meanwhile
                at += CHUNK - 4096


def holders(lb: Balancer, wanted: list[bytes]) -> set[str]:
    """Returns the titles of the processes in whose memory one of these secrets is."""
    found = set()
    for process in lb.processes():
        title = " ".join(process.cmdline()).strip()
        pieces = memory(process.pid, shared=process.pid == lb.process.pid)
        if any(one in piece for piece in pieces for one in wanted):
            found.add(title)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of others needs root")
@pytest.mark.timeout(240)  # it reads gigabytes of sparse memory
def test_private_keys_are_in_the_memory_of_workers_and_of_no_other_process(ca: Authority) -> None:
    row = ca.issue("localhost", file="planted", key="RSA")
    first = needles(row["key"])
    process = {"tls": {"watch": "50ms", "ticket_lifetime": "1s"}, "log": {"access": "stdout"}}
    workers = {"l4lb: worker 0", "l4lb: worker 1"}
    health = {"type": "tcp", "interval": "1s"}
    with (
        Backends(1) as backends,
        Balancer.secured(
            backends.addresses, {"certificates": [row]}, process=process, health=health
        ) as lb,
    ):
        for title in ("logger", "checker", "control"):
            lb.child(title)
        assert holders(lb, first) == workers
        ca.issue("localhost", file="planted", key="RSA")
        second = needles(row["key"])
        until(lambda: all(one["loaded"] > 1 for one in lb.ask("certs")), "the new key is loaded")
        lb.admin("reload")
        assert holders(lb, second) == workers
        lb.admin("upgrade")
        until(lambda: len(lb.processes()) == 6, "the program before has left")
        assert holders(lb, second) == workers
        secure(lb.connect(), ca.client()).close()


SECRETS = ("planted-seed", "planted-bearer", "planted-words", "planted-token-of-http")
READ = (
    "status", "listeners", "pools", "backends", "workers", "certs", "stats", "talkers", "blocks",
    "diff", "plan", "access", "sessions", "picks", "discovery", "sticky",
)  # fmt: skip


def planted(lb: Balancer, ca: Authority) -> Balancer:
    """Returns the configuration with a secret in every place that may have one."""
    assert lb.config is not None
    lb.config["process"] |= {
        "http": f"127.0.0.1:{PORTS.take()}",
        "http_admin": True,
        "http_token_file": str(lb.folder / "token"),
        "hash_seed": "planted-seed",
        "log": {"access": "stdout", "level": "debug"},
    }
    (lb.folder / "token").write_text("planted-token-of-http\n")
    lb.config["pools"]["web"] |= {
        "health": {
            "type": "http", "interval": "50ms", "headers": ["Authorization: planted-bearer"],
        },
        "agent": {"port": 1, "interval": "50ms", "send": "planted-words\n"},
    }  # fmt: skip
    lb.config["listeners"]["web"]["tls"] = {
        "certificates": [ca.issue("localhost", file="grepped", key="RSA")]
    }
    return lb


def over_http(lb: Balancer, path: str) -> str:
    assert lb.config is not None
    url = f"http://{lb.config['process']['http']}{path}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def test_nothing_that_the_service_writes_or_answers_has_a_secret(ca: Authority) -> None:
    with Backends(1) as backends, planted(Balancer.before(backends.rows()), ca) as lb:
        assert lb.config is not None
        key = needles(lb.config["listeners"]["web"]["tls"]["certificates"][0]["key"])[0]
        until(lambda: lb.backends()["a"]["health"] == "down", "it was checked")
        lb.config["pools"]["web"]["agent"]["send"] = "planted-words again\n"
        lb.config["pools"]["web"]["health"]["headers"] = ["Authorization: planted-bearer-2"]
        lb.config["process"]["hash_seed"] = "planted-seed-2"
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        shown: list[Any] = [lb.ask(command) for command in READ]
        shown += [lb.ask("why", backend="web/a"), lb.ask("explain", pool="web", client="::1")]
        shown += [lb.ask("reload"), *(lb.ask(command) for command in READ)]
        for command in ("status", "backends", "plan", "diff"):
            done = run("admin", "--socket", lb.socket, command, command=lb.command)
            shown += [done.stdout, done.stderr]
        shown += [over_http(lb, path) for path in ("/metrics", "/api/state", "/", "/page.js")]
        with secure(lb.connect(), ca.client()) as client:
            client.close()
        lb.admin("upgrade")
        text = json.dumps(shown, default=str) + lb.log() + lb.out()
        assert "health.headers" in text, "the change was told, by its name"
        assert [one for one in (*SECRETS, key.decode()) if one in text] == []
