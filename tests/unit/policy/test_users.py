"""Users: which passwords are right, which files are used, and what is said about the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.errors import L4lbError
from l4lb.policy import hashes, users
from l4lb.policy.users import Users, UsersError, load, parse_groups, parse_users

APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"  # myPassword, in APR's documentation
BCRYPT = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"  # U*U, crypt_blowfish
SHA256 = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"  # Hello world!, Drepper
SHA512 = (
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEO"
    "faS35inz1"
)
LONG = "$5$rounds=10000$saltstringsaltst$3xv.VbSCBX41eDL9L3voCPYFAVR9cs7CCGAzc7FZeF7"
RIGHT = {APR1: "myPassword", BCRYPT: "U*U", SHA256: "Hello world!", SHA512: "Hello world!"}


def one(text: str) -> Users:
    return Users(parse_users(f"user:{text}\n".encode(), "users"))


def fault_of(act: Callable[[], object]) -> str:
    with pytest.raises(UsersError) as told:
        act()
    return str(told.value)


@pytest.mark.parametrize("text", RIGHT)
def test_the_right_password_is_accepted_and_no_other(text: str) -> None:
    password = RIGHT[text]
    assert one(text).verify("user", password)
    for other in ("", password + "x", password[:-1], password.swapcase(), password + "\0"):
        assert not one(text).verify("user", other)
    assert not one(text).verify("User", password)


def test_bcrypt_of_all_three_names_and_any_rounds_of_sha_crypt_are_read() -> None:
    for name in ("$2b$", "$2y$"):
        assert one(name + BCRYPT[4:]).verify("user", "U*U")
    made = hashes._crypt(b"x", LONG)
    assert made is not None
    assert made.startswith("$5$rounds=10000$saltstringsaltst$")
    assert one(made).verify("user", "x")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@given(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40),
    st.sampled_from("156"),
)
@settings(max_examples=30)
def test_openssl_makes_the_same_hashes(password: str, kind: str) -> None:
    made = subprocess.run(
        ["openssl", "passwd", "-stdin", "-salt", "aB./9", "-apr1" if kind == "1" else f"-{kind}"],
        input=password.encode() + b"\n", stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert one(made.stdout.decode().strip()).verify("user", password)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("secret", "no hash"),
        ("", "no hash"),
        ("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "SHA-1"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "MD5 without a salt"),
        ("rqXexS6ZhobKA", "DES"),
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "MD5-crypt"),
        ("$2x" + BCRYPT[3:], "unknown kind"),
        ("$y$j9T$abc$def", "unknown kind"),
        ("{SSHA}abc", "unknown kind"),
        (BCRYPT[:-1], "damaged"),
        (BCRYPT + "x", "damaged"),
        (BCRYPT + ":x", "damaged"),
        (SHA256[:-1] + "!", "damaged"),
        ("$5$" + "s" * 17 + SHA256[13:], "damaged"),
        ("$5$rounds=010000$" + SHA256[3:], "damaged"),
        (BCRYPT.replace("$05$", "$15$"), "cost 15"),
        (BCRYPT.replace("$05$", "$03$"), "cost 03"),
        ("$6$rounds=999$" + SHA512[3:], "999 rounds"),
        ("$6$rounds=500001$" + SHA512[3:], "500001 rounds"),
        ("$6$rounds=" + "9" * 60 + "$" + SHA512[3:], "rounds"),
    ],
)
def test_a_weak_or_broken_or_endless_hash_is_refused_by_its_place(text: str, why: str) -> None:
    content = f"# users\nfirst:{APR1}\nuser:{text}\n".encode()
    fault = fault_of(lambda: parse_users(content, "/etc/users"))
    assert fault.startswith("/etc/users:3: the user 'user' has ")
    assert why in fault
    assert len(text) < 4 or text not in fault


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nobody", "colon"),
        (f":{APR1}".encode(), "no user"),
        (f" a:{APR1}".encode(), "blanks"),
        (f"a\t:{APR1}".encode(), "blanks"),
        (f"a\x01b:{APR1}".encode(), "control"),
        (b"\xff:x", "UTF-8"),
        (f"a:{APR1}\na:{APR1}".encode(), "twice"),
        (b"a:" + b"x" * 511, "more than 512 bytes"),
        (b"a" * 256 + f":{APR1}".encode(), "more than 255 bytes"),
    ],
)
def test_a_line_that_is_no_user_is_refused(content: bytes, why: str) -> None:
    assert why in fault_of(lambda: parse_users(content, "users"))


def test_comments_empty_lines_and_line_ends_of_windows_are_read() -> None:
    content = f"# x\r\n\r\nä b:{APR1}\r\n#y:z\n".encode()
    assert list(parse_users(content, "users")) == ["ä b"]


def test_an_unknown_user_costs_what_a_known_one_costs() -> None:
    asked: list[str] = []

    def compute(_: bytes, text: str) -> str:
        asked.append(text)
        return text

    known = {f"user{n}": hashes.Hash(f"hash{n}", compute) for n in range(8)}
    found = Users(known)
    assert found.verify("user3", "x")
    assert asked == ["hash3"]
    asked.clear()
    for n in range(200):
        assert not found.verify(f"unknown{n}", "x")
    assert len(asked) == 200
    assert len(set(asked)) == 8
    asked.clear()
    for _ in range(3):
        found.verify("unknown", "x")
    assert len(set(asked)) == 1


def test_without_users_nobody_is_let_in() -> None:
    assert not Users({}).verify("user", "")
    assert not Users({}).verify("\ud800", "\ud800")


def test_a_password_that_would_take_too_long_is_refused() -> None:
    assert one(SHA512).hashes["user"].matches(b"Hello world!")
    long = "x" * 256
    made = hashes._crypt(long.encode(), SHA512)
    assert made is not None
    assert one(made).verify("user", long)
    longer = hashes._crypt(long.encode() + b"x", SHA512)
    assert longer is not None
    assert not one(longer).verify("user", long + "x")


def test_the_interpreter_runs_on_while_a_password_is_verified() -> None:
    slow = hashes._crypt(b"x", "$6$rounds=500000$salt")
    assert slow is not None
    verifying = threading.Thread(target=one(slow).verify, args=("user", "x"))
    verifying.start()
    turns = 0
    while verifying.is_alive():
        turns += 1
    verifying.join()
    # With the lock held, only a few turns before and after would be counted.
    assert turns > 10_000


def test_groups_are_read_as_apache_reads_them() -> None:
    content = b"# groups\nstaff: anna ben\n\nadmins:ben\nstaff: carl\nempty:\n"
    groups = parse_groups(content, "groups")
    assert groups == {
        "anna": frozenset({"staff"}),
        "ben": frozenset({"staff", "admins"}),
        "carl": frozenset({"staff"}),
    }
    found = Users({}, groups)
    assert found.groups_of("anna") == {"staff"}
    assert found.groups_of("nobody") == frozenset()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"staff", "groups:1: has no colon"), (b"a: b\n: c", "groups:2: has no group"),
     (b"\xe4: c", "UTF-8"), (b"x" * (1 << 20) + b":", "bytes")],
)  # fmt: skip
def test_a_line_that_is_no_group_is_refused(content: bytes, why: str) -> None:
    assert why in fault_of(lambda: parse_groups(content, "groups"))


def test_the_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "USERS_MAX", 2)
    monkeypatch.setattr(users, "GROUPS_MAX", 2)
    three = "".join(f"{name}:{APR1}\n" for name in "abc").encode()
    assert "users:3: more than 2 users" in fault_of(lambda: parse_users(three, "users"))
    assert "more than 2 groups" in fault_of(lambda: parse_groups(b"a:\nb:\nc:", "groups"))


def test_files_are_read_within_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, groups = tmp_path / "users", tmp_path / "groups"
    file.write_text(f"anna:{APR1}\n")
    groups.write_text("staff: anna\n")
    found = load(str(file), str(groups))
    assert found.verify("anna", "myPassword")
    assert found.groups_of("anna") == {"staff"}
    assert load(str(file)).groups == {}
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(users, "FILE_MAX", 20)
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path / "pipe", "no regular file"),
                      (file, "more than 20 bytes"), (tmp_path / "a\0", "null")):  # fmt: skip
        with pytest.raises(L4lbError, match=why):
            load(str(path))


def test_no_text_of_users_shows_a_hash() -> None:
    assert APR1 not in repr(one(APR1))
