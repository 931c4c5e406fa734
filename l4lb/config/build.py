"""Builds a configuration from plain data of a file or of flags: makes every check, and reports
every error at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from l4lb.config import bounds, explain
from l4lb.config.model import Config
from l4lb.config.origin import Finding, Origin
from l4lb.config.position import Path
from l4lb.config.rules import checks, supported
from l4lb.errors import ConfigError, Problem


def build(data: Mapping[str, Any], origin: Origin, known: Iterable[Finding] = ()) -> Config:
    """Returns the configuration of this data. known: errors that were found before. Raises
    ConfigError with all errors."""
    found = list(known)
    config = None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        found += _some(explain.findings(error, data))
    found += _some(supported.findings(data))
    found += _some(checks.errors(data))
    if config is None or found:
        raise ConfigError(_problems(found, origin))
    return config.came_from(origin, tuple(_problems(_some(checks.warnings(data)), origin)))


def _some(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yields as many findings as are reported, and one more. why: nobody reads further, and a hint
    takes time."""
    return itertools.islice(findings, bounds.PROBLEMS_MAX + 1)


def _problems(found: Iterable[Finding], origin: Origin) -> list[Problem]:
    """Returns one problem for each path, the first one found, in the order of the file."""
    first: dict[Path, Finding] = {}
    for finding in found:
        first.setdefault(finding.path, finding)
    problems = [origin.problem(finding) for finding in first.values()]
    problems.sort(key=lambda problem: problem.line or 0)
    if len(problems) > bounds.PROBLEMS_MAX:
        more = Problem(origin.file, None, "", "and more; repair these first")
        problems[bounds.PROBLEMS_MAX :] = [more]
    return problems
