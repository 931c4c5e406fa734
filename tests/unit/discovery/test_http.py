"""The http source: JSON with its ETag, and wrong answers of a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from tests.unit.discovery.conftest import following
from tests.unit.discovery.servers import Answer, serving


def test_it_is_asked_again_with_its_etag() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("If-None-Match", ""))
        if len(asked) == 2:
            return web.Response(status=304)
        body = json.dumps([f"10.0.0.1:{len(asked)}"])
        return web.Response(text=body, headers={"ETag": f'"{len(asked)}"'})

    with serving(answer) as url, following(type="http", url=url, interval="100ms") as source:
        assert source.addresses() == ["10.0.0.1:1"]
        assert source.addresses() == ["10.0.0.1:1"]
        assert source.addresses() == ["10.0.0.1:3"]
    assert asked[:3] == ["", '"1"', '"1"']


def test_the_token_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "token"
    file.write_text("first\n")

    async def answer(request: web.Request) -> web.Response:
        said.append(request.headers["Authorization"])
        file.write_text("second")
        return web.json_response([])

    settings = {"type": "http", "interval": "100ms", "token_file": str(file)}
    with serving(answer) as url, following(url=url, **settings) as source:
        assert source.next() == source.next() == []
    assert said[:2] == ["Bearer first", "Bearer second"]


async def slow(_: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.json_response([])


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


async def moved(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})


async def broken(_: web.Request) -> web.Response:
    return web.Response(status=500)


async def page(_: web.Request) -> web.Response:
    return web.Response(text="<html>")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (slow, "no answer in time"),
        (endless, "more than 4 MiB"),
        (moved, "answered with 302"),
        (broken, "answered with 500"),
        (page, "not JSON"),
    ],
)
def test_a_wrong_answer_is_a_fault(answer: Answer, why: str) -> None:
    settings = {"type": "http", "timeout": "2s"}
    with serving(answer) as url, following(url=url, **settings) as source:
        assert why in source.fault()


def test_nobody_there_is_a_fault_with_the_url() -> None:
    with serving(page) as url:
        pass
    with following(type="http", url=url) as source:
        assert url in source.fault()
