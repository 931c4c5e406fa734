"""Environment variables in the values of a configuration.

"${NAME}" in any text is replaced by that variable, and "${NAME:-text}" by text if the variable is
not set or empty. "$${" is replaced by "${". Where a whole number or a truth value is expected, a
text that consists of one reference is converted: `workers = "${WORKERS:-4}"`. Keys are never
changed, a variable's own text is not expanded again, and the total of all replacements is limited.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from l4lb.config.bounds import ENVIRONMENT_BYTES_MAX
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.schema import type_at
from l4lb.config.units import shown

REFERENCE = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{"
)
INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def expand(
    data: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[Finding]]:
    """Returns the data with each reference replaced, and the errors of references that cannot be
    replaced."""
    expander = _Expander(environ)
    return expander.value(data, ()), expander.found


class _Expander:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.found: list[Finding] = []
        self._environ = environ
        self._left = ENVIRONMENT_BYTES_MAX

    def value(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: self.value(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self.value(one, (*path, index)) for index, one in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, path)
        return value

    def _text(self, text: str, path: Path) -> Any:
        done = REFERENCE.sub(lambda match: self._replaced(match, path), text)
        whole = REFERENCE.fullmatch(text)
        if whole is None or whole["name"] is None:
            return done
        match type_at(path):
            case "integer" if INTEGER.fullmatch(done):
                return int(done)
            case "boolean" if done in ("true", "false"):
                return done == "true"
        return done

    def _replaced(self, match: re.Match[str], path: Path) -> str:
        name, default = match["name"], match["default"]
        if match[0] == "$${":
            return "${"
        if name is None:
            hint = 'write "${NAME}", or "$${" for the characters themselves'
            self.found.append(Finding(path, f"{shown(match.string)} has a ${{ without }}", hint))
            return match[0]
        value = self._environ.get(name) or default
        if value is None:
            state = "empty" if name in self._environ else "not set"
            message = f"the environment variable {name} is {state}"
            hint = f'set it, or write "${{{name}:-...}}" with what it is then'
            self.found.append(Finding(path, message, hint))
            return match[0]
        self._left -= len(value)
        if self._left < 0:
            limit = f"{ENVIRONMENT_BYTES_MAX >> 20} MiB"
            self.found.append(Finding(path, f"environment variables add more than {limit}"))
            return ""
        return value
