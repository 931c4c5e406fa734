"""Settings of the whole nginx.conf, and its directives outside of stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from l4lb.cpus import usable_cpus
from l4lb.importer.draft import WORKERS_MAX, Draft, Rank, word_set
from l4lb.importer.nginx.tree import Node
from l4lb.importer.quantities import natural


@dataclass
class World:
    """The draft, the folder of relative paths, and the connections of workers."""

    draft: Draft
    folder: str
    per_worker: Node | None = None
    processes: Node | None = None
    resolver: Node | None = None
    paths: dict[str, str] = field(default_factory=dict)

    def path(self, text: str) -> str:
        """Returns a file's path: below nginx.conf's folder if it is relative."""
        return text if text.startswith("/") else os.path.join(self.folder, text)

    def time(self, node: Node, text: str, kind: str) -> str:
        """Returns a time within bounds; a bare number is seconds. Raises ValueError."""
        value, moved = natural(text.replace(" ", ""), "s", kind)
        if moved:
            self.draft.leave(node.place, Rank.DIFFERENT, moved)
        return value


def _processes(world: World, node: Node) -> None:
    world.processes = node
    if node.arg() != "auto":
        count = min(WORKERS_MAX, max(1, int(node.arg())))
        if count != int(node.arg()):
            world.draft.leave(node.place, Rank.NOTE, f"it is {count} here", ("process",))
        world.draft.process.put("workers", count, node.place)


def _user(world: World, node: Node) -> None:
    why = f'[process] user = "{node.arg()}" is for you to add, where that user exists'
    world.draft.leave(node.place, Rank.NOTE, why, ("process",))


def _shutdown(world: World, node: Node) -> None:
    value = world.time(node, node.arg(), "drain_timeout")
    world.draft.process.put("drain_timeout", value, node.place)


def _events(world: World, node: Node) -> None:
    for one in node.block:
        if one.name == "worker_connections":
            int(one.arg())
            world.per_worker = one
        elif one.name not in SILENT:
            world.draft.leave(one.place, Rank.NOTE, "events are waited for by epoll here")


MAIN: dict[str, Callable[[World, Node], None]] = {
    "worker_processes": _processes,
    "user": _user,
    "worker_shutdown_timeout": _shutdown,
    "events": _events,
}
# Directives about the process, and those that describe l4lb's behaviour anyway.
SILENT = word_set(
    """
    daemon master_process pid load_module lock_file use multi_accept accept_mutex pcre_jit
    worker_aio_requests worker_rlimit_core working_directory variables_hash_max_size
    variables_hash_bucket_size server_names_hash_max_size server_names_hash_bucket_size
    """
)


def main(world: World, node: Node) -> None:
    """Reads a directive outside of all blocks, or a block that is not stream."""
    draft = world.draft
    try:
        if node.name in MAIN:
            MAIN[node.name](world, node)
        elif node.name == "mail":
            _not_tcp(draft, node, "mail is not relayed by its protocols")
        elif node.name not in SILENT:
            why = "how the process is run is said in [process] and [limits]"
            draft.leave(node.place, Rank.NOTE, why, ("process",))
    except ValueError as error:
        draft.leave(node.place, Rank.DIFFERENT, f"not understood: {error}", ("process",))


def _not_tcp(draft: Draft, node: Node, why: str) -> None:
    rank = Rank.MISSING if node.name == "server" and node.block else Rank.NOTE
    draft.leave(node.place, rank, why)
    for one in node.block:
        _not_tcp(draft, one, why)


def room(world: World) -> None:
    """Sets max_connections: a worker of nginx counts both connections of a session, and each worker
    counts its own."""
    node = world.per_worker
    if node is None:
        return
    draft = world.draft
    workers = draft.process.get("workers")
    if workers is None and world.processes is not None:
        workers = min(WORKERS_MAX, usable_cpus())
        why = f"for the {workers} CPUs here: raise [limits] max_connections where there are more"
        draft.leave(world.processes.place, Rank.DIFFERENT, why, ("limits",))
    count = max(1, int(node.arg()) * (workers or 1) // 2)
    draft.limits.put("max_connections", min(count, 64 << 20), node.place)
