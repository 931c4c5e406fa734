"""Writes the corpus that fuzzing starts from: real headers, hellos and lists.

python tests/fuzz/seed.py FOLDER    one folder a target below it
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hellos import hello, padded, records

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = bytes([192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4])
SEEDS = {
    "ppv": [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\nbehind",
        b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN x y z\r\n",
        SIGNATURE + b"\x20\x00\0\0",
        SIGNATURE + b"\x21\x11\0\x0c" + ADDRESSES,
        SIGNATURE + b"\x21\x11\0\x14" + ADDRESSES + b"\x01\0\x02h2\x04\0\0",
        SIGNATURE + b"\x21\x21\0\x24" + bytes(36),
        SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
    ],
    "hello": [
        hello("www.example.com", ("h2", "http/1.1")),
        hello(),
        records(hello("a.b")[5:], 60),
        padded(hello("large.example"), 20_000),
        b"GET / HTTP/1.1\r\n",
    ],
    "cidr": [
        b"10.0.0.0/8\n10.1.0.0/16 # inside\n\n192.0.2.1\n",
        b"2001:db8::/32\n2001:db8::1\n::/0\n0.0.0.0/0",
        b"10.0.0.0/8\n10.0.0.0/8\n10.0.0.0/33\n",
        b"\xff" + bytes(255),
    ],
}


def main() -> None:
    """Writes each seed into a file of its target's folder."""
    for target, seeds in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / f"seed{number}").write_bytes(seed)


if __name__ == "__main__":
    main()
