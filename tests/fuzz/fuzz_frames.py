"""Frames of the admin socket: however a stream is cut, it gives equal requests or an equal refusal,
no other exception is raised, and at most one frame is kept.

    python tests/fuzz/fuzz_frames.py FOLDER SECONDS [SEED]

The program mutates the files in the folder for this CPU time.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import msgpack

from l4lb.control.commands import COMMANDS
from l4lb.control.serving.protocol import FRAME_MAX, LENGTH, Decoder, ProtocolError, Request
from l4lb.errors import AdminError

LONGEST = 4096  # maximum bytes of one input


def outcome(parts: list[bytes]) -> list[object]:
    """Returns the outcome of a stream in these parts: requests as text, then a refusal if there is
    one."""
    found: list[object] = []
    decoder = Decoder()
    try:
        for part in parts:
            for message in decoder.feed(part):
                request = Request.of(message)
                found.append(repr(request))
                command = COMMANDS.get(request.command)
                if command is not None:
                    found.append(answer(command.checked, request.args))
    except ProtocolError as error:
        return [*found, str(error)]
    waiting = len(decoder._waiting)
    assert waiting < LENGTH.size + FRAME_MAX
    return [*found, waiting]


def answer(checked, args) -> str:  # type: ignore[no-untyped-def]
    """Returns the checked arguments, or why they are refused."""
    try:
        return repr(checked(args))
    except AdminError as error:
        return f"{error.code}: {error.message}"


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Returns the bytes with some changed, removed, doubled or taken from another input."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(out) + 1)
        what = chance.randrange(5)
        if what == 0 and at < len(out):
            out[at] = chance.randrange(256)
        elif what == 1:
            del out[at : at + chance.randint(1, 8)]
        elif what == 2:
            out[at:at] = out[at : at + chance.randint(1, 32)]
        elif what == 3:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            out[at:at] = other[begin : begin + chance.randint(1, 64)]
        elif len(out) >= LENGTH.size:
            out[: LENGTH.size] = LENGTH.pack(max(0, len(out) - LENGTH.size + chance.randint(-2, 2)))
    return bytes(out[:LONGEST])


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    """Returns the bytes in random parts."""
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(0, 6)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def main() -> None:
    """Runs for this number of CPU seconds. Prints the number of inputs. Raises what it finds."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else time.time_ns()
    chance = random.Random(seed)
    corpus = [path.read_bytes() for path in sorted(folder.iterdir())]
    done = 0
    while time.process_time() < seconds:
        data = mutated(chance.choice(corpus), corpus, chance)
        try:
            assert outcome([data]) == outcome(cut(data, chance)), "the cut matters"
        except Exception:
            (folder.parent / "frames.found").write_bytes(data)
            print(f"seed {seed}, input in {folder.parent / 'frames.found'}")
            raise
        done += 1
        if done % 64 == 0 and len(corpus) < 4096 and data[LENGTH.size :]:
            corpus.append(data)
    print(f"stat::number_of_executed_units: {done}")


if __name__ == "__main__":
    assert msgpack.version
    main()
