"""Lists of domains: which hosts a list has, what of its files is used, and what is said of the
rest."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.errors import L4lbError
from l4lb.lists import parse
from l4lb.lists.build import Found, NameList, build
from l4lb.lists.name import name_of
from l4lb.native.names import BELOW, EXCEPT, Draft, Set


@contextlib.contextmanager
def listed(folder: Path, text: str | bytes, **options: object) -> Iterator[NameList]:
    file = folder / "list"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = build([str(file)], **options)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.close()


AUTO = """\ufeff# a comment
example.com
  Ads.Example.NET.  # another
.dotted.example
*.star.example
0.0.0.0 hosts1.example hosts2.example # x
127.0.0.1\tlocalhost localhost.localdomain local
::1 ip6-localhost ip6.example
fe80::1%lo0 zone.example
0.0.0.0 0.0.0.0
address=/dns1.example/dns2.example/0.0.0.0
server=/dns3.example/127.0.0.1#53
local=/dns4.example/
192.0.2.7
bücher.example
0.0.0.0 straße.example
! of ad blockers
; of others
"""
NAMES = [
    "example.com", "ads.example.net", "dotted.example", "star.example", "hosts1.example",
    "hosts2.example", "ip6.example", "zone.example", "dns1.example", "dns2.example",
    "dns3.example", "dns4.example", "192.0.2.7", "xn--bcher-kva.example", "xn--strae-oqa.example",
]  # fmt: skip


def test_lines_of_all_formats_are_read_in_one_file(tmp_path: Path) -> None:
    with listed(tmp_path, AUTO) as found:
        assert found.wrong == 0, found.faults
        assert found.names == len(NAMES)
        for name in NAMES:
            assert found.has(name) == name
        assert found.has("www.example.com") == "example.com"
        for host in ("localhost", "local", "com", "example.net", "0.0.0.0", "localhost.localdomain",
                     "notexample.com", "[::1]"):  # fmt: skip
            assert found.has(host) is None


def test_without_subdomains_only_lines_that_say_so_mean_names_below(tmp_path: Path) -> None:
    with listed(tmp_path, AUTO, subdomains=False) as found:
        for name in NAMES:
            assert found.has(name) == name
        for name in ("dotted.example", "star.example", "dns1.example", "dns4.example"):
            assert found.has(f"www.{name}") == name
        for name in ("example.com", "hosts1.example", "xn--bcher-kva.example"):
            assert found.has(f"www.{name}") is None


def test_an_exception_and_all_below_it_are_not_in_the_list(tmp_path: Path) -> None:
    text = "good.example\nads.cdn.good.example\n"
    with listed(tmp_path, text, excepted=["CDN.good.example"]) as found:
        assert found.has("good.example")
        assert found.has("x.good.example") == "good.example"
        for host in ("cdn.good.example", "x.cdn.good.example", "ads.cdn.good.example"):
            assert found.has(host) is None
    with listed(tmp_path, text, excepted=["a b"]) as found:
        assert found.faults == ("except: 'a b' is no name",)


def test_a_hit_is_told_with_file_and_line(tmp_path: Path) -> None:
    with listed(tmp_path, AUTO) as found:
        file = tmp_path / "list"
        assert found.find("www.example.com") == Found("example.com", f"{file}:2")
        assert found.find("hosts2.example") == Found("hosts2.example", f"{file}:6")
        assert found.find("xn--bcher-kva.example") == Found("xn--bcher-kva.example", f"{file}:15")
        assert found.find("none.example") is None
        file.write_text("")
        assert found.find("example.com") == Found("example.com", "")
        file.unlink()
        assert found.find("example.com") == Found("example.com", "")


def test_what_is_wrong_is_counted_and_the_first_faults_are_told(tmp_path: Path) -> None:
    bad = ["a b c", "http://x.example/", "1.2.3", "||x.example^", "a..b", "x.example:80", "*",
           "address=/x.example", "address=/#/1.2.3.4", "x" * 64, "a\x00b", "\x1b[0m",
           ".".join("a" * 33), "y" * 9_000]  # fmt: skip
    text = "\n".join([*bad, "good.example"])
    with listed(tmp_path, text) as found:
        assert found.names == 1
        assert found.wrong == len(bad)
        assert found.faults[0] == f"{tmp_path}/list:1: a b c is no name"
        assert len(found.faults) <= parse.FAULTS_MAX
        assert all(one.isprintable() and len(one) < 250 for one in found.faults)
    with listed(tmp_path, b"\xff.example\nx\n" * 3) as found:
        assert (found.names, found.wrong) == (1, 3)


@pytest.mark.parametrize(
    ("form", "names"),
    [("domains", {"a.example"}), ("hosts", {"b.example"}), ("dnsmasq", {"c.example"}),
     ("auto", {"a.example", "b.example", "c.example"})],
)  # fmt: skip
def test_a_format_takes_only_its_own_lines(tmp_path: Path, form: str, names: set[str]) -> None:
    text = "a.example\n0.0.0.0 b.example\naddress=/c.example/\n"
    with listed(tmp_path, text, form=form) as found:
        hosts = ("a.example", "b.example", "c.example")
        assert {host for host in hosts if found.has(host)} == names
        assert found.wrong == 3 - len(names)


def test_a_folder_is_a_category_with_domains_and_urls(tmp_path: Path) -> None:
    (tmp_path / "ads").mkdir()
    (tmp_path / "ads" / "domains").write_text("ads.example\n")
    (tmp_path / "ads" / "urls").write_text(
        "# x\nnews.example/ads/\nhttp://Other.example/x?y\nno-path.example\n"
    )
    (tmp_path / "ads" / "expressions").write_text("(a|b)")
    found = build([str(tmp_path / "ads")])
    try:
        assert found.has("www.ads.example") == "ads.example"
        assert found.has("news.example") is None
        assert found.has("news.example", "/ads/1.gif") == "news.example/ads/"
        assert found.has("news.example", "/") is None
        place = f"{tmp_path}/ads/urls"
        assert found.find("other.example", "/x?y=1") == Found("other.example/x?y", f"{place}:3")
        assert found.faults == (f"{place}:4: no-path.example is no host with a path",)
    finally:
        found.close()


def test_files_are_found_by_patterns_and_a_missing_one_is_told(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"n{number}.example\n")
    os.mkfifo(tmp_path / "pipe")
    pipe, gone = str(tmp_path / "pipe"), str(tmp_path / "*.gone")
    found = build([str(tmp_path / "*.txt"), str(tmp_path / "1.txt"), pipe, gone])
    try:
        assert found.names == 3
        assert set(found.faults) == {f"{gone}: there is no such file",
                                     f"{pipe}: is no regular file"}  # fmt: skip
    finally:
        found.close()


def test_files_odd_words_and_urls_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse, "FILES_MAX", 2)
    monkeypatch.setattr(parse, "ODD_MAX", 2)
    monkeypatch.setattr(parse, "URLS_MAX", 1)
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "urls").write_text("a.example/\nb.example/\n")
    with listed(tmp_path, "ä.example\n!\n1.2\n1.3\nö.example\n") as found:
        assert (found.names, found.wrong) == (1, 3)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"n{number}.example\n")
    for patterns, why in (([str(tmp_path / "*.txt")], "first 2 files"), ([str(folder)], "1 URLs")):
        made = build(patterns)
        assert why in made.faults[0]
        made.close()


def test_an_empty_list_has_no_host(tmp_path: Path) -> None:
    with listed(tmp_path, "") as found:
        assert found.names == 0
        assert found.has("a.example") is None


def test_the_memory_is_sealed_and_read_by_whoever_has_its_descriptor(tmp_path: Path) -> None:
    with listed(tmp_path, "a.example\n") as found:
        with pytest.raises(OSError, match="not permitted"):
            os.pwrite(found.fd, b"x", 0)
        with mmap.mmap(found.fd, found.bytes, prot=mmap.PROT_READ) as memory:
            assert Set(memory).find(b"a.example") == b"a.example"


def test_memory_that_is_no_set_is_refused() -> None:
    draft = Draft(b"k" * 16)
    draft.add(b"a.example")
    good = bytearray(draft.size())
    draft.write(good)
    for bad in (b"", bytes(64), good[:-8], good[:63], b"\0" + good[1:]):
        with pytest.raises(ValueError, match="no set"):
            Set(bytes(bad))


labels = st.sampled_from(["a", "b", "ab", "com", "x" * 63])
names = st.lists(labels, min_size=1, max_size=4).map(".".join).filter(lambda n: len(n) < 254)
entries = st.lists(st.tuples(names, st.sampled_from([0, BELOW, EXCEPT | BELOW])), max_size=12)


def naive(known: list[tuple[str, int]], host: str) -> str:
    """The longest name that means a host, by comparing it with all names."""

    def is_above(name: str) -> bool:
        return host == name or host.endswith(f".{name}")

    if any(flags & EXCEPT and is_above(name) for name, flags in known):
        return ""
    hits = [name for name, flags in known
            if host == name or (flags & BELOW and is_above(name))]  # fmt: skip
    return max(hits, key=len, default="")


@given(entries, st.lists(names, max_size=8))
def test_a_set_finds_what_a_naive_twin_finds(
    known: list[tuple[str, int]], asked: list[str]
) -> None:
    draft = Draft()
    for name, flags in known:
        assert draft.add(name.encode(), flags)
    memory = bytearray(draft.size())
    draft.write(memory)
    found = Set(memory)
    assert len(found) == len({name for name, _ in known})
    for host in [*asked, *(name for name, _ in known)]:
        assert found.find(host.encode()).decode() == naive(known, host)


words = st.sampled_from(
    [
        "a.example",
        "B.example.",
        ".c.example",
        "*.d.example",
        "e",
        "1.2.3.4",
        "1.2.3",
        "ü.example",
        "0.0.0.0",
        "::1",
        "#x",
        "!",
        "x_y.example",
        "a..b",
        "localhost",
        "address=/f.example/g.example/1.1.1.1",
        "server=/h/",
        "-",
    ]
)
lines = st.lists(st.lists(words, max_size=3).map(" ".join), max_size=6).map("\n".join)


def naive_names(text: str) -> tuple[set[tuple[str, bool]], int]:
    """The names of a text in the format auto, whether names below are meant, and what is wrong."""
    found: set[tuple[str, bool]] = set()
    wrong = 0
    for line in text.split("\n"):
        said = line.split("#")[0].split()
        if not said or said[0][0] in "!;":
            continue
        below = hosts = False
        keyword = next(
            (w for w in ("address=/", "server=/", "local=/") if said[0].startswith(w)), ""
        )
        if keyword:
            *said, _ = " ".join(said).removeprefix(keyword).split("/")
            below = True
        elif len(said) > 1 and said[0] in ("1.2.3.4", "0.0.0.0", "::1"):
            said, hosts = said[1:], True
        elif len(said) > 1:
            said = ["no name"]
        for word in said or [""]:
            plain = word.removeprefix("*.") if word.startswith("*.") else word.removeprefix(".")
            name = name_of(plain)
            if name is None:
                wrong += 1
            elif not hosts or ("." in word and not name[0].isdigit()):
                found.add((name, below or plain != word))
    return found, wrong


@given(lines)
def test_a_text_is_read_as_a_naive_twin_reads_it(text: str) -> None:
    draft = Draft()
    _, odd, found = draft.add_text(text.encode(), "auto", 0, 1_000)
    others = [word for word in found if parse.other_name(word)]
    for word in others:
        draft.add(parse.other_name(word) or b"", word.flags)
    known, wrong = naive_names(text)
    assert odd - len(others) == wrong
    memory = bytearray(draft.size())
    draft.write(memory)
    made = Set(memory)
    assert len(made) == len({name for name, _ in known})
    for name, _ in known:
        assert made.find(name.encode()) == name.encode()
        below = any(one == name and deep for one, deep in known)
        assert (made.find(f"www.{name}".encode()) != b"") == below


def test_too_many_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def size(self) -> int:
            raise OverflowError("no room")

    monkeypatch.setattr("l4lb.lists.build.Draft", Full)
    with pytest.raises(L4lbError, match="too large"):
        build([])
