"""Finds the line of each key and array element of a TOML text.

The standard library's parser does not keep positions. This scanner reads a text that tomllib has
accepted already, so it only finds places and checks nothing. On other input it stops early and
finds less; it never fails. The line of a table is that of its header, or of the first key that
implies it.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]

BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
SPACE = re.compile(r"[ \t]*")
BARE = re.compile(r"[A-Za-z0-9_-]+")
STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'  # multi-line basic
    r"|'''.*?'{3,5}(?!')"  # multi-line literal
    r'|"(?:[^"\\\n]|\\.)*"'  # basic
    r"|'[^'\n]*'",  # literal
    re.DOTALL,
)
SCALAR = re.compile(r"[^,\]}#\r\n]*")  # a number, date or boolean


class _UnexpectedError(Exception):
    """The text is not TOML."""


def positions(text: str) -> dict[Path, int]:
    """Returns the line (from 1) of each path in a valid TOML text."""
    scanner = _Scanner(text)
    with contextlib.suppress(_UnexpectedError, RecursionError):  # everything found so far is right
        scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._table_counts: dict[Path, int] = {}  # of [[arrays of tables]]
        self.lines: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while self._skip(BLANK) < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    # ---- tables and keys -----------------------------------------------------------------------

    def _header(self) -> Path:
        start, is_array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path: Path = ()
        keys = self._keys()
        for number, key in enumerate(keys, 1):
            path += (key,)
            self._note(path, start)
            if is_array and number == len(keys):
                self._table_counts[path] = self._table_counts.get(path, 0) + 1
            if path in self._table_counts:
                path += (self._table_counts[path] - 1,)
                self._note(path, start)
        self._expect("]]" if is_array else "]")
        return path

    def _pair(self, table: Path) -> None:
        start, path = self._at, table
        for key in self._keys():
            path += (key,)
            self._note(path, start)
        self._expect("=")
        self._skip(SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(SPACE)
            quoted = self._peek() in ('"', "'")
            token = self._take(STRING if quoted else BARE)
            keys.append(_unquoted(token) if quoted else token)
            self._skip(SPACE)
            if self._peek() != ".":
                return keys
            self._at += 1

    # ---- values --------------------------------------------------------------------------------

    def _value(self, path: Path) -> None:
        match self._peek():
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(STRING)
            case _:
                self._take(SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._skip(BLANK) < len(self._text) and self._peek() != "]":
            self._note((*path, index), self._at)
            self._value((*path, index))
            self._comma("]")
            index += 1
        self._expect("]")

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip(BLANK) < len(self._text) and self._peek() != "}":
            self._pair(path)
            self._comma("}")
        self._expect("}")

    def _comma(self, end: str) -> None:
        self._skip(BLANK)
        if self._peek() != end:
            self._expect(",")

    # ---- characters ----------------------------------------------------------------------------

    def _note(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, bisect_right(self._newlines, at - 1) + 1)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, blank: re.Pattern[str]) -> int:
        self._take(blank)
        return self._at

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _UnexpectedError
        self._at = match.end()
        return match[0]

    def _expect(self, token: str) -> None:
        self._skip(SPACE)
        if not self._text.startswith(token, self._at):
            raise _UnexpectedError
        self._at += len(token)


def _unquoted(token: str) -> str:
    """Returns the value of a quoted key; tomllib knows the escapes."""
    try:
        value = tomllib.loads(f"key = {token}")["key"]
    except ValueError:
        raise _UnexpectedError from None
    return str(value)
