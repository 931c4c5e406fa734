"""The smuggling corpus through the parts that read and write messages, without a connection."""

from __future__ import annotations

import pytest
from doors.http1 import Head, HeadError, decode_chunks, head_end, read_answer, read_request
from smuggling import ANSWERS, REQUESTS, Answer, Request, one_chunk

from l4lb.native.http import RequestError, read_host, read_path, read_target


class FaultError(Exception):
    """The stream has a fault: with the status for it."""


def take_head(stream: bytes) -> bytes | None:
    found, _ = head_end(stream)
    if isinstance(found, str):
        raise FaultError(400)
    return stream[:found] if found else None


def take_body(head: Head, rest: bytes) -> tuple[bytes, bytes]:
    """(body in its normal form, what follows it)."""
    if head.framing == "chunked":
        result, data, used = decode_chunks([rest])
        if result != "done":
            raise FaultError(400)
        return one_chunk(data), rest[used:]
    length = (head.length or 0) if head.framing == "length" else 0
    if len(rest) < length:
        raise FaultError(400)
    return rest[:length], rest[length:]


def judge(raw: bytes) -> tuple[Head, bytes, bytes]:
    """(head, target and host as they are sent)."""
    try:
        head = read_request(raw)
        target = read_target(head.target, head.method.decode())
        host = head.host
        if host or head.version == (1, 1):
            read_host(host)
        if target.path:
            read_path(target.path)
        if not target.scheme:
            return head, head.target, host
        read_host(target.host or b"")
        query = b"" if target.query is None else b"?" + target.query
        return head, target.path + query, target.host or b""
    except HeadError as error:
        raise FaultError(error.status) from error
    except RequestError as error:
        raise FaultError(error.args[1]) from error


def forward(stream: bytes) -> tuple[list[bytes], int | None]:
    """What a backend gets of a client's bytes, and the status of the fault that ends them."""
    forwarded: list[bytes] = []
    try:
        while raw := take_head(stream):
            head, target, host = judge(raw)
            body, stream = take_body(head, stream[len(raw) :])
            forwarded.append((head.write_request(target, host) or b"full") + body)
    except FaultError as fault:
        return forwarded, fault.args[0]
    return forwarded, None


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.says.replace(" ", "_"))
def test_a_request_is_refused_or_goes_on_in_its_normal_form(case: Request) -> None:
    assert forward(case.sent) == (case.forwarded, case.refused)


def answer(case: Answer) -> bytes | None:
    """What a client gets of a backend's bytes; None: the answer is refused."""
    stream, received = case.sent, b""
    while raw := take_head(stream):
        head = read_answer(raw, case.asked.encode())
        stream = stream[len(raw) :]
        if head.tunnel:
            return None  # nobody asked for it
        if head.status < 200:
            known = head.status in {100, 102, 103}
            received += (head.write_answer("none") or b"full") if known else b""
            continue
        if head.framing == "until_close":
            return received + (head.write_answer("chunked") or b"full") + one_chunk(stream)
        body, _ = take_body(head, stream)
        return received + (head.write_answer(head.framing) or b"full") + body
    return None


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.says.replace(" ", "_"))
def test_an_answer_is_refused_or_goes_on_in_its_normal_form(case: Answer) -> None:
    try:
        received = answer(case)
    except (HeadError, FaultError):
        received = None
    assert received == case.received


def test_the_corpus_is_large_and_names_each_case_once() -> None:
    assert len(REQUESTS) + len(ANSWERS) >= 200
    assert len({case.says for case in REQUESTS}) == len(REQUESTS)
    assert len({case.says for case in ANSWERS}) == len(ANSWERS)
