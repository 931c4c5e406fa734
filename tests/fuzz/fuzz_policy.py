"""What the policy process reads: credentials, files of users and of groups, lists, and the gate's
questions. Whatever they are, they are read or refused by the error that is meant for it, and no
refusal shows a secret.

    python tests/fuzz/fuzz_policy.py FOLDER SECONDS [SEED]

The first byte of an input says what it is. The program mutates the files in the folder for this CPU
time.
"""

from __future__ import annotations

import base64
import mmap
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fuzz_frames import mutated

from l4lb.errors import L4lbError
from l4lb.lists.name import name_of
from l4lb.lists.parse import ODD_MAX, Parsed, _read_urls, other_name
from l4lb.native import gate
from l4lb.native.names import FORMATS, Draft, Set
from l4lb.policy import credentials
from l4lb.policy.credentials import CredentialsError
from l4lb.policy.domains import domains_of
from l4lb.policy.users import parse_groups, parse_users

QUESTIONS_AT = 64 + 65_536 * 8  # bytes before the first question of the gate
AREA = mmap.mmap(-1, gate.BYTES)


def require(holds: bool) -> None:
    assert holds


def field(data: bytes) -> None:
    """A value of Proxy-Authorization: what is read can be written in one way only."""
    try:
        found = credentials.read(data)
    except CredentialsError as error:
        require(len(data) < 8 or data.decode("latin-1") not in str(error))
        return
    written = base64.b64encode(f"{found.user}:{found.password}".encode())
    assert data.split(b" ")[-1] == written
    assert found.user
    assert ":" not in found.user


def users(data: bytes) -> None:
    try:
        found = parse_users(data, "users")
    except L4lbError as error:
        require(error.message.startswith("users:"))
        return
    for name, one in found.items():
        assert f"{name}:{one.text}".encode() in data


def groups(data: bytes) -> None:
    try:
        found = parse_groups(data, "groups")
    except L4lbError as error:
        require(error.message.startswith("groups:"))
        return
    for user, names in found.items():
        assert user.encode() in data
        assert all(name.encode() in data for name in names)


def names(data: bytes) -> None:
    """A list of names: each word that is not ASCII is found as the name that it means."""
    for form in FORMATS:
        draft = Draft()
        _, odd, words = draft.add_text(data, form, 0, ODD_MAX)
        assert odd == len(words)
        meant = [name for word in words if (name := other_name(word)) and draft.add(name)]
        memory = bytearray(draft.size())
        draft.write(memory)
        known = Set(memory)
        assert all(known.find(name) for name in meant)


def urls(data: bytes) -> None:
    parsed = Parsed()
    _read_urls(data, "urls", parsed)
    assert parsed.url_count == sum(map(len, parsed.urls.values()))
    for host, paths in parsed.urls.items():
        assert name_of(host) == host
        assert all(one.startswith("/") and one.isascii() and one.isprintable() for one in paths)


def domains(data: bytes) -> None:
    texts = data.decode("utf-8", "replace").split("\n")
    try:
        found = domains_of(texts)
    except ValueError:
        return
    assert all(name_of(one) == one for one in (*found.exact, *found.below))


def questions(data: bytes) -> None:
    """The memory of a worker that may have been taken over."""
    AREA[QUESTIONS_AT : QUESTIONS_AT + len(data)] = data
    for one in gate.questions(AREA, 0):
        assert one.serial % 2 == 1
        assert len(one.host) <= 255
        assert 0 <= one.port < 65_536


READERS: tuple[Callable[[bytes], None], ...] = (
    field, users, groups, names, urls, domains, questions,
)  # fmt: skip


def main() -> None:
    """Runs for this number of CPU seconds. Prints the number of inputs. Raises what it finds."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else time.time_ns()
    chance = random.Random(seed)
    corpus = [path.read_bytes() for path in sorted(folder.iterdir())]
    done = 0
    while time.process_time() < seconds or done < len(corpus):
        data = (
            corpus[done] if done < len(corpus) else mutated(chance.choice(corpus), corpus, chance)
        )
        try:
            if data:
                READERS[data[0] % len(READERS)](data[1:])
        except Exception:
            (folder.parent / "policy.found").write_bytes(data)
            print(f"seed {seed}, input in {folder.parent / 'policy.found'}")
            raise
        done += 1
        if done % 64 == 0 and len(corpus) < 4096 and data:
            corpus.append(data)
    print(f"stat::number_of_executed_units: {done}")


if __name__ == "__main__":
    main()
