"""Reads the files that a configuration includes, and merges them into one table.

`include = ["pools/*.toml"]` is at the top of a file. Names are relative to the file's folder, and a
pattern may match no file. Tables that are in several files are merged. A value that is in two files
is an error; neither file wins silently. An included file may include others. A file that includes
itself, directly or through others, is an error.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import Any

from l4lb.config.bounds import FILE_BYTES_MAX, INCLUDES_MAX
from l4lb.config.origin import Finding, Origin, Source, path_text
from l4lb.config.position import Path
from l4lb.config.reading import document
from l4lb.errors import ConfigError, Problem

Data = dict[str, Any]


def gather(text: str, filename: str) -> tuple[Data, Origin]:
    """Returns the data of a file's text and of all files that it includes. Raises ConfigError."""
    gatherer = _Gatherer()
    data = gatherer.file(text, filename, ())
    if gatherer.problems:
        raise ConfigError(gatherer.problems)
    return data, Origin(filename, text, also=tuple(gatherer.sources[1:]))


class _Gatherer:
    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self._bytes = 0

    def file(self, text: str, filename: str, above: tuple[str, ...]) -> Data:
        """Returns the data of a file and its included files; above: the files that included this
        one."""
        origin = Origin(filename, text)
        self.sources.append(Source(filename, text))
        try:
            data = document.parse(text, filename)
        except ConfigError as error:
            self.problems += error.problems
            return {}
        chain = (*above, filename)
        for path, name in self._names(data.pop("include", []), origin):
            for file in self._files(name, filename):
                data = self._included(data, file, chain, (origin, path))
        return data

    def _names(self, names: object, origin: Origin) -> Iterator[tuple[Path, str]]:
        if not isinstance(names, list):
            self._tell(origin, ("include",), 'must be an array of files such as ["pools/*.toml"]')
            return
        for index, name in enumerate(names):
            if isinstance(name, str) and name and "\0" not in name:
                yield ("include", index), name
            else:
                self._tell(origin, ("include", index), "must be the name of a file or a pattern")

    def _files(self, name: str, filename: str) -> list[str]:
        place = os.path.join(os.path.dirname(filename), name)
        return sorted(glob.glob(place)) if glob.has_magic(name) else [place]

    def _included(
        self, data: Data, file: str, chain: tuple[str, ...], by: tuple[Origin, Path]
    ) -> Data:
        reals = [os.path.realpath(one) for one in chain]
        if os.path.realpath(file) in reals:
            loop = " -> ".join((*chain[reals.index(os.path.realpath(file)) :], file))
            self._tell(*by, f"an include loop: {loop}")
            return data
        if len(self.sources) > INCLUDES_MAX:
            if len(self.sources) == INCLUDES_MAX + 1:
                self.sources.append(Source(file, ""))
                self._tell(*by, f"more than {INCLUDES_MAX} files are included")
            return data
        try:
            text = document.read(file)
        except ConfigError as error:
            self._tell(*by, f"{file} {error.problems[0].message}")
            return data
        self._bytes += len(text)
        if self._bytes > FILE_BYTES_MAX:
            self._tell(*by, f"with {file} more than {FILE_BYTES_MAX >> 20} MiB are included")
            return data
        return self._merged(data, self.file(text, file, chain), file, ())

    def _merged(self, data: Data, more: Data, file: str, at: Path) -> Data:
        for key, value in more.items():
            mine = data.get(key)
            if key not in data:
                data[key] = value
            elif isinstance(mine, dict) and isinstance(value, dict):
                self._merged(mine, value, file, (*at, key))
            else:
                self._conflict((*at, key))
        return data

    def _conflict(self, path: Path) -> None:
        having = [one for one in self.sources if one.written(path) == path]
        first, *_, last = having if len(having) > 1 else [having[0], having[0]]
        message = f"{path_text(path)} is said in {first.place(path)} already"
        self._tell(Origin(last.file, last.text), path, message, "keep one of the two")

    def _tell(self, origin: Origin, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(origin.problem(Finding(path, message, hint)))
