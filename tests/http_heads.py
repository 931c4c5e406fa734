"""Heads of HTTP/1 that are nearly right: strategies for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st


def words(text: bytes) -> list[bytes]:
    return text.split(b"|")


METHODS = words(b"GET|POST|HEAD|OPTIONS|PUT|TRACE|get|G T||G@T")
TARGETS = words(b"/|/a?b=c|http://a.b/c|*|a:80|/\x80|/#a||/a b|/\x00")
VERSIONS = words(b"HTTP/1.1|HTTP/1.0|HTTP/2.0|HTTP/0.9|HTTP/1.10|http/1.1|HTTP/1.")
STATUSES = words(b"200|204|304|100|101|500|099|600|20|2000|abc")
REASONS = words(b" OK|| | \xff\t| a\x01|OK")
GOOD_NAMES = words(b"X-A|X-B|X-C|A_b|TE|Content-Length|content-length|Connection|Upgrade")
GOOD_NAMES += [b"Transfer-Encoding"]
NAMES = GOOD_NAMES + words(b"Host|host|Expect|A b|A\x85||A\x00|Content-Length ")
FITTING = words(b"5|chunked|close|keep-alive|x-a|a")
VALUES = words(b"a|5|05|+5|5, 5|5,5|| |chunked|Chunked|gzip, chunked|chunked, chunked|identity")
VALUES += words(b"close|keep-alive|upgrade|websocket|host|100-continue|x-a|\x80\xff|a\tb|a\x00b")
VALUES += words(b"a\rb|a\nb|1111111111111111111|\x0b5")
COLONS = words(b":|: |:\t|:  | :||:\r\n ")
ENDS = words(b"\n|\r|\r\r\n||\r\n\r\n| \r\n|\r\n |\r\n\t")


def mostly(right: list[bytes], any_: list[bytes]) -> st.SearchStrategy[bytes]:
    """Draws from the right ones some twenty times as often, so that most heads have one fault."""
    return st.sampled_from(right * (1 + 20 * len(any_) // len(right)) + any_)


ends = mostly([b"\r\n"], ENDS)
fields = st.lists(
    st.tuples(
        mostly(GOOD_NAMES, NAMES), mostly([b": ", b":"], COLONS), mostly(FITTING, VALUES), ends
    ),
    max_size=4,
).map(lambda lines: b"".join(b"".join(line) for line in lines))
spaces = mostly([b" "], [b"  ", b"\t", b""])
request_lines = st.tuples(
    mostly([b""], [b"\r\n", b"\n", b" "]),
    mostly([b"GET", b"POST"], METHODS),
    spaces,
    mostly([b"/", b"/a?b=c"], TARGETS),
    spaces,
    mostly([b"HTTP/1.1", b"HTTP/1.0"], VERSIONS),
    ends,
    mostly([b"Host: a\r\n"], [b"", b"Host: a\r\nHost: a\r\n"]),
).map(b"".join)
status_lines = st.tuples(
    mostly([b"HTTP/1.1", b"HTTP/1.0"], VERSIONS),
    spaces,
    mostly([b"200", b"204", b"304"], STATUSES),
    mostly([b" OK"], REASONS),
    ends,
).map(b"".join)


def whole(first: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Draws a head with its first line; a few have one byte changed at any place."""
    heads = st.tuples(first, fields, mostly([b"\r\n"], ENDS)).map(b"".join)
    changed = st.tuples(heads, st.integers(0), st.integers(0, 255)).map(
        lambda drawn: bytes(
            drawn[2] if at == drawn[1] % len(drawn[0]) else byte for at, byte in enumerate(drawn[0])
        )
    )
    return st.integers(0, 4).flatmap(lambda drawn: heads if drawn else changed)


requests = whole(request_lines)
answers = whole(status_lines)
