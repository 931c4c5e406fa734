"""Writes the corpus with which fuzzing starts: real headers, hellos and lists.

python tests/fuzz/seed.py FOLDER    one folder for each target below it
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgpack
from hellos import hello, padded, records

REQUEST = (
    b"POST http://a.example/x?y HTTP/1.1\r\nHost: a.example:80\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: x-mine, keep-alive\r\nX-Mine: 1\r\nCookie: a=b\r\nX-Forwarded-For: 1.1.1.1\r\n"
    b"Expect: 100-continue\r\nTE: trailers\r\nA_b:\tc \r\n\r\n"
)
UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Length: 0\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b; Domain=x; Path=/\r\n"
    b"Server: x\r\nLocation: http://x/\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"


def ruled(choices: bytes, head: bytes, *texts: bytes) -> bytes:
    """Returns a head with choices and six texts for rules before it."""
    return choices + b"".join(bytes([len(text)]) + text for text in texts) + head


TEXTS = (b"X-Rule", b"value", b"l4lb", b"/target", b"host.example", b"192.0.2.1")


def http2(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


GET, POST = (bytes([0x82 + post, 0x86, 0x84]) + b"\x41\x01h" for post in (0, 1))  # RFC 7541
OPENED = http2(8, 0, 0, b"\0\0\xff\xff")


def frame(message: object) -> bytes:
    """Returns a frame of the admin socket."""
    body: bytes = msgpack.packb(message)
    return struct.pack(">I", len(body)) + body


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = bytes([192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4])
# a question of the gate, behind its key and the proxy's number: source, port, lengths, kind, host
ASKED = struct.pack("<HH16sHHHHHB", 2, 0, b"\xc0\0\2\1", 443, 9, 7, 1, 4, 0) + b"a.example"
ICAP = b'ICAP/1.0 200 OK\r\nISTag: "x"\r\n'
SEEDS = {
    "proxy_protocol": [
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
    "client_hello": [
        hello("www.example.com", ("h2", "http/1.1")),
        hello(),
        records(hello("a.b")[5:], 60),
        padded(hello("large.example"), 20_000),
        b"GET / HTTP/1.1\r\n",
    ],
    "target": [
        b"\x03/a/../b//c%41?d=e",
        b"\x13http://User.Example:80/%2e%2e%2f",
        b"\x04[2001:DB8::1]:443",
        b"\x33/a%2f/..;/\xc3",
        b"\x0f*",
        b"\x01" + b"/" + b"a|" * 3000,
    ],
    "socks5": [
        b"\5\3\0\1\2",
        b"\1\4anna\6secret",
        b"\5\1\0\1\xc0\0\2\1\1\xbb",
        b"\5\1\0\3\x0bwww.example\0\x50",
        b"\5\1\0\3\x12[::ffff:127.0.0.1]\0\x50",
        b"\5\3\0\4" + bytes(10) + b"\xff\xff\x7f\0\0\1\0\0",
    ],
    "names": [
        b"\0\xef\xbb\xbf# x\nexample.com\n.a.example # y\n*.b.example\r\n! z\nb\xc3\xbc.example\n",
        b"\0000.0.0.0 a.example b.example\n::1 localhost\nfe80::1%lo0 c.example\n1.2.3\nx y\n",
        b"\3address=/a.example/b.example/0.0.0.0\nserver=/c/1.1.1.1#53\nlocal=//\n",
        b"\0" + struct.pack("<IIIHBB", 0, 3, 8, 4, 1, 3) + bytes(range(112)),
    ],
    "gate": [
        b"\0" + struct.pack("<I4xQQI", 1, 5, 6, 1) + ASKED,
        b"\1" + struct.pack("<I4xQQQIBBBB", 2, 5, 6, 9999, 1, 1, 8, 64, 64) + bytes(300),
        b"\1" + struct.pack("<I4xQQQIBBBB", 2, 5, 6, 9999, 1, 1, 9, 65, 0) + bytes(300),
        b"\2" + struct.pack("<QQQIBBBB", 5, 6, 9999, 1, 2, 2, 3, 4) + b"rule" * 70,
    ],
    "policy": [
        b"\0Basic YWxpY2U6c2VjcmV0",
        b"\0basic  YTo=",
        b"\1alice:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0\n# x\n",
        b"\1bob:$6$abcdefgh$" + b"x" * 86 + b"\nann:$2y$05$" + b"x" * 53 + b"\n",
        b"\2staff: alice bob\nothers:\n",
        b"\3b\xc3\xbccher.example\n0.0.0.0 stra\xc3\x9fe.example\naddress=/\xc3\xa4.b/::\n",
        b"\4http://a.example/x?y\nb.example/\n# z\nc/d e\n",
        b"\5*.a.example\nb.example\n192.0.2.1\nb\xc3\xbc.example",
        b"\6" + struct.pack("<I4xQQI", 1, 5, 6, 1) + ASKED,
    ],
    "router": [
        bytes([1, 4]) + bytes(i * 37 % 256 for i in range(200)),
        bytes([1, 15]) + bytes(i * i % 251 for i in range(300)),
        bytes([0]) + struct.pack("<8I", 0, 1, 64, 2, 32, 1, 60, 1) + bytes(200),
    ],
    "h1": [
        b"\0" + REQUEST,
        b"\0\r\n" + UPGRADE,
        b"\1" + ANSWER,
        b"\0" + SWITCH,
        b"\0GET / HTTP/1.0\r\n\r\n",
        b"\0HTTP/1.1 304\r\n\r\n",
    ],
    "chunks": [
        b'5\r\nhello\r\n00A ; x="y"\r\n0123456789\r\n0\r\n\r\n',
        b"1\r\na\r\n0;last\r\nTrailer: value\r\nOther:\r\n\r\nGET /",
        b"ffffffffffffff\r\nabc",
    ],
    "icap": [
        ICAP + b"Encapsulated: req-hdr=0, res-hdr=9, res-body=28\r\n\r\nGET / \r\n\r\n"
        b"HTTP/1.1 200 OK\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ICAP + b"Methods: REQMOD\r\nPreview: 7\r\nOptions-TTL: 9\r\n\r\n",
        b"ICAP/1.0 100 Continue\r\n\r\nICAP/1.0 204 No\r\nConnection: close\r\n\r\n",
    ],
    "h1write": [
        ruled(b"\0\3\1\xff", REQUEST, *TEXTS),
        ruled(b"\3\3\2\x1e", UPGRADE, *TEXTS),
        ruled(b"\1\0\0\x0f", ANSWER, *TEXTS),
        ruled(b"\0\3\2\2", SWITCH, *TEXTS),
        ruled(b"\0\3\1\x1f", REQUEST, b"A\r\nB: c", *TEXTS[1:]),
    ],
    "h2": [
        b"".join(http2(1, 5, stream, GET) for stream in range(1, 13, 2)),
        http2(1, 4, 1, POST) + http2(0, 0, 1, bytes(3000)) + http2(0, 1, 1, b"yy") + OPENED,
        http2(1, 4, 1, POST + b"\x0f\x0d\x015")
        + http2(0, 1, 1, b"hello")
        + http2(6, 0, 0, bytes(8)),
        http2(4, 0, 0, b"\0\4\0\0\0\x0a")
        + http2(1, 0, 1, GET)
        + http2(9, 4, 1, b"\0\6cookie\3a=b"),
        http2(1, 4, 1, POST)
        + http2(3, 0, 1, bytes(4))
        + http2(1, 5, 3, GET)
        + http2(7, 0, 0, bytes(8)),
    ],
    "hops": [
        b"\0\x0c192.0.2.1, 2001:db8::1,[2001:db8::2]:443 ,\t192.0.2.2:80\n::ffff:192.0.2.3",
        b'\1\x10for=192.0.2.1;proto=http, For="[2001:db8::1]:80";by=x\nfor=192.0.2.2',
        b'\1\4x="a, b;c";for=192.0.2.1,for=unknown,, for="\\_x"',
        b"\0\1" + b"10.0.0.1," * 20,
    ],
    "cached": [
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nCache-Control: max-age=5, max-stale=2, min-fresh=1\r\n"
            b"Accept: a, b\r\nAccept:c\r\n\r\n\0HTTP/1.1 200 OK\r\nCache-Control: max-age=9, "
            b'private="x", stale-if-error=3\r\nVary: Accept, X\r\nAge: 3\r\n\r\n'
        ),
        (
            b'GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/"a", "b"\r\nRange: bytes=5-\r\n'
            b'If-Range: "b"\r\nPragma: no-cache\r\n\r\n\0HTTP/1.1 404 -\r\nETag: "b"\r\n'
            b"Expires: 0\r\n"
            b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n"
            b"Range: bytes=-5\r\n\r\n\0HTTP/1.1 200 OK\r\nCDN-Cache-Control: max-age=9;a, b=(1 2), "
            b'c="d", e=:f=:, must-revalidate\r\n\r\n'
        ),
    ],
    "request_values": [
        b"a\na=1&b=%2&%61=3&a&&=x+y\nCookie: a=1; b=2;a =3;=\nA: 1\na:2\nSet-Cookie: a=b; Path=/",
        b"x-a b\nx-a+b=%zz&x%2da%20b=\nX-A b: 1\ncookie:x-a b=1;;",
        b"\n=1&=2\ncookie: =1; =2\n:\n",
    ],
    "quic": [
        b"\0\1\xc0\0\0\0\1\x08\0\1\2\3\4\5\6\7\0\0\0",
        b"\2\1\x40\x40\1\2\3\4\5\6\7",
        b"\0\0\xff",
        b"\1\x0e\xc0\0\0\0\0\xff" + bytes(300),
    ],
    "handover_record": [
        b"",
        bytes(4_000),
        bytes(range(256)) * 10,
    ],
    "tls": [
        b"",
        bytes(40),
        bytes(range(0, 256, 3)) * 4,
    ],
    "udp": [
        bytes(range(64)),
        bytes([0, 1, 0, 5, 5, 1, 4, 5, 6, 1, 0, 1]),
        bytes(i * 37 % 256 for i in range(900)),
        b"",
    ],
    "frames": [
        frame({"id": 1, "command": "status", "args": {}}),
        frame({"id": "a", "command": "weight", "args": {"backend": "web/a", "weight": 3}}),
        frame({"id": None, "command": "sessions", "args": {"limit": 5, "sort": "age"}}) * 2,
        frame({"command": "explain", "args": {"recent": True}})[:-1],
        b"\0\x10\0\1",
        frame({"id": 1, "command": "x", "args": {"deep": [[[[[{}]]]]]}}),
    ],
    "cidr": [
        b"10.0.0.0/8\n10.1.0.0/16 # inside\n\n192.0.2.1\n",
        b"2001:db8::/32\n2001:db8::1\n::/0\n0.0.0.0/0",
        b"10.0.0.0/8\n10.0.0.0/8\n10.0.0.0/33\n",
        b"\n".join(b"10.0.%d.%d" % (n % 3, n) for n in range(0, 120, 2)),
        b"\n".join(b"fd00::%x/%d" % (n * n, 128 - n % 5) for n in range(60)),
        b"\n".join(b"255.255.255.255/%d" % n for n in range(33)),
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
