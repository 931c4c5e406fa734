"""The result of an import, read as a configuration, which must be valid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from l4lb.config.model import Config
from l4lb.config.reading import parse
from l4lb.errors import ConfigError, Problem
from l4lb.importer import haproxy, nginx
from l4lb.importer.draft import Draft, Left, Rank
from l4lb.importer.settle import settle
from l4lb.importer.text import toml


def refused(text: str) -> Sequence[Problem]:
    try:
        parse.loads(text, "made.toml")
    except ConfigError as error:
        return error.problems
    return ()


@dataclass
class Made:
    """A settled draft as a configuration."""

    draft: Draft
    config: Config

    @property
    def left(self) -> list[Left]:
        return self.draft.ranked()

    def rank(self, words: str) -> Rank:
        """Returns the gravest rank of the lines that have these words."""
        return next(one.rank for one in self.left if words in one.place.text)

    def says(self, words: str) -> bool:
        """Returns whether a line with these words is named."""
        return any(words in one.place.text for one in self.left)


def settled(draft: Draft) -> Made:
    assert not settle(draft, refused)
    return Made(draft, parse.loads(toml(draft), "made.toml"))


def of_haproxy(text: str) -> Made:
    return settled(haproxy.read(text, "/etc/haproxy/haproxy.cfg"))


def of_nginx(folder: Path, text: str) -> Made:
    file = folder / "nginx.conf"
    file.write_text(text)
    return settled(nginx.read(str(file)))


def pg(lines: str = "", server: str = "", defaults: str = "") -> Made:
    """A listen section with two servers."""
    return of_haproxy(
        f"defaults\n  mode tcp\n  timeout connect 4s\n  timeout client 30m\n"
        f"  timeout server 30m\n{defaults}\nlisten pg\n  bind 127.0.0.1:5000\n{lines}\n"
        f"  server a 10.0.0.1:5432 {server}\n  server b 10.0.0.2:5432 {server}\n"
    )


def front(lines: str) -> Made:
    """Returns a frontend with two backends."""
    return of_haproxy(
        f"defaults\n  timeout client 1m\nfrontend f\n  bind 127.0.0.1:443\n{lines}\n"
        "  default_backend one\nbackend one\n  server s 10.0.0.1:80\n"
        "backend two\n  server s 10.0.0.2:80\n"
    )


Stream = Callable[[str], Made]  # the fixture `stream`


def server(stream: Stream, text: str, listen: str = "9000") -> Made:
    """Returns a server of nginx with upstream u."""
    return stream(f"server {{\nlisten {listen};\nproxy_pass u;\n{text}\n}}")
