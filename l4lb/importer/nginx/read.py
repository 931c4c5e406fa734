"""Converts a whole nginx.conf into a draft."""

from __future__ import annotations

import os

from l4lb.importer.draft import NOBODY, Draft, Place, Rank, Table, name_of
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.servers import Listeners
from l4lb.importer.nginx.settings import ROWS
from l4lb.importer.nginx.settings import read as read_settings
from l4lb.importer.nginx.tree import Node, Tree
from l4lb.importer.nginx.upstreams import upstream
from l4lb.importer.nginx.variables import Variables
from l4lb.importer.nginx.web import web
from l4lb.importer.nginx.world import World, main, room

DEFINES = ("map", "geo", "split_clients", "set")
BLOCKS = ("server", "upstream")


def read(file: str) -> Draft:
    """Reads nginx.conf and the files that it includes. Raises L4lbError."""
    tree = Tree(file)
    world = World(Draft(Place(file, 1, file)), os.path.dirname(os.path.abspath(file)))
    for place, said in tree.faults:
        world.draft.leave(place, Rank.MISSING, said)
    names = {one.name for one in tree.nodes}
    # A file that is included into stream has the contents of a stream block.
    bare = not names & {"stream", "http", "mail", "events"} and bool(names & set(BLOCKS))
    if bare and any(_is_web(one) for one in tree.nodes):
        web(world, tree.nodes)
    elif bare:
        _stream(world, tree.nodes)
    for node in () if bare else tree.nodes:
        if node.name == "stream":
            _stream(world, node.block)
        elif node.name == "http":
            web(world, node.block)
        else:
            main(world, node)
    room(world)
    return world.draft


def _is_web(node: Node) -> bool:
    """True for a server that only an http block can have."""
    return node.name == "server" and any(
        one.name in ("location", "root", "return", "rewrite", "try_files") for one in node.block
    )


def _stream(world: World, nodes: tuple[Node, ...]) -> None:
    draft = world.draft
    variables = Variables(lambda node, rank, why: draft.leave(node.place, rank, why))
    zones: dict[str, Node] = {}
    checks: dict[str, Node] = {}
    upstreams: dict[str, Table] = {}
    common: list[Node] = []
    for node in nodes:
        if node.name in DEFINES:
            variables.define(node)
        elif node.name == "limit_conn_zone" and len(node.args) > 1:
            zones[node.arg(1).removeprefix("zone=").partition(":")[0]] = node
        elif node.name == "match" and node.args:
            checks[node.arg()] = node
        elif node.name == "resolver":
            world.resolver = node
        elif node.name not in BLOCKS:
            common.append(node)
    for node in nodes:
        if node.name == "upstream" and node.args:
            upstreams[node.arg()] = upstream(world, node)
    servers = []
    for node in nodes:
        if node.name == "server":
            server = Server(world, node, variables, zones, checks)
            for one in node.block:
                if one.name == "set":
                    variables.define(one)
            read_settings(server, common)
            servers.append(server)
    Listeners(draft, upstreams).make(servers)
    variables.unused()
    _unused(draft, upstreams)
    if not servers:
        _alone(world, common)


def _unused(draft: Draft, upstreams: dict[str, Table]) -> None:
    """Converts upstreams that no server uses, too."""
    for name, pool in upstreams.items():
        short = name_of(name)
        if short not in draft.pools and short != NOBODY and ({"backends", "discovery"} & set(pool)):
            draft.pools[short] = pool


def _alone(world: World, common: list[Node]) -> None:
    """Reads the directives of stream if there is no server."""
    for node in common:
        if node.name not in ROWS:
            world.draft.leave(node.place, Rank.DIFFERENT, "not known to this import")
