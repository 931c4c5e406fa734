"""Error pages: a folder with a file for each status, such as 502.html; and the pages of forward
proxies' rules, a file each."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping

from l4lb.config import bounds
from l4lb.config.model import Config
from l4lb.config.origin import Finding
from l4lb.config.units import SIZE
from l4lb.errors import ConfigError, L4lbError
from l4lb.http.texts import Page

FILE = re.compile(r"([45][0-9][0-9])\.(html|json|txt)", re.ASCII)
TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
}


def read(folder: str) -> Mapping[int, Page]:
    """Returns the pages of a folder by status. Other files are not read. Raises L4lbError."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise L4lbError(f"cannot read the error pages in {folder}: {error.strerror}") from error
    found: dict[int, Page] = {}
    for name in names:
        match = FILE.fullmatch(name)
        if match is None:
            continue
        path, status = os.path.join(folder, name), int(match[1])
        if status in found:
            raise L4lbError(f"{path}: there is another page for the status {status}")
        if len(found) == bounds.ERROR_PAGES_MAX:
            raise L4lbError(f"{folder} has more than {bounds.ERROR_PAGES_MAX} error pages")
        found[status] = Page(TYPES[match[2]], _content(path))
    return found


def read_page(path: str) -> Page:
    """Returns the page in a file, of a type that its ending tells. Raises L4lbError."""
    ending = path.rpartition(".")[2]
    if ending not in TYPES:
        raise L4lbError(f"the page {path} must end with .{', .'.join(TYPES)}")
    return Page(TYPES[ending], _content(path))


def _content(path: str) -> bytes:
    try:
        # why O_NONBLOCK: opening a pipe would wait.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise L4lbError(f"the error page {path} is no file")
            content = file.read(bounds.ERROR_PAGE_BYTES_MAX + 1)
    except OSError as error:
        raise L4lbError(f"cannot read the error page {path}: {error.strerror}") from error
    if len(content) > bounds.ERROR_PAGE_BYTES_MAX:
        limit = SIZE.format(bounds.ERROR_PAGE_BYTES_MAX)
        raise L4lbError(f"the error page {path} is larger than {limit}")
    return content


def _of_rules(config: Config) -> Iterator[Finding]:
    for name, forward in config.forward.items():
        for index, rule in enumerate(forward.rules):
            try:
                if rule.page is not None:
                    read_page(rule.page)
            except L4lbError as error:
                yield Finding(("forward", name, "rules", index, "page"), error.message)


def check(config: Config) -> None:
    """Reads every folder of error pages, and every page of a rule. Raises ConfigError with all
    errors."""
    found = list(_of_rules(config))
    for name, listener in config.listeners.items():
        folder = listener.http.errors if listener.http is not None else None
        try:
            if folder is not None:
                read(folder)
        except L4lbError as error:
            found.append(Finding(("listeners", name, "http", "errors"), error.message))
    if found:
        raise ConfigError([config.origin.problem(finding) for finding in found])
