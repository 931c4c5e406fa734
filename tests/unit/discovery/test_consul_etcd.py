"""Consul's blocking queries against a stand-in; etcd against a real etcd."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from l4lb.discovery.types import Member
from tests.e2e.harness.deadline import until
from tests.e2e.harness.ports import PORTS
from tests.unit.discovery.conftest import following
from tests.unit.discovery.servers import serving


def instance(port: int, **service: object) -> dict[str, object]:
    return {
        "Node": {"Address": "127.0.0.1"},
        "Service": {"ID": f"i{port}", "Address": "", "Port": port, **service},
    }


def test_consul_is_asked_with_the_index_and_answers_at_a_change(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []
    (tmp_path / "token").write_text("secret\n")

    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/v1/health/service/web%2Fx" or request.path.endswith("/web/x")
        asked.append(dict(request.query) | {"token": request.headers["X-Consul-Token"]})
        if len(asked) > 3:
            await asyncio.sleep(3600)
        index = {1: 7, 2: 9, 3: 3}[len(asked)]
        found = [instance(80, Weights={"Passing": 4}), instance(80 + len(asked))]
        return web.json_response(found, headers={"X-Consul-Index": str(index)})

    settings = {"type": "consul", "name": "web/x", "tag": "v2", "interval": "2s"}
    with (
        serving(answer) as url,
        following(url=url, token_file=str(tmp_path / "token"), **settings) as source,
    ):
        assert source.next() == [Member("127.0.0.1:80", weight=4), Member("127.0.0.1:81")]
        assert source.addresses() == ["127.0.0.1:80", "127.0.0.1:82"]
        assert source.addresses() == ["127.0.0.1:80", "127.0.0.1:83"]
        until(lambda: len(asked) == 4, "asked once more")
    always = {"passing": "1", "tag": "v2", "token": "secret"}
    assert asked == [
        always,
        always | {"index": "7", "wait": "2000ms"},
        always | {"index": "9", "wait": "2000ms"},
        always,  # the index fell: the provider starts again
    ]


@pytest.mark.parametrize("index", ["", "-1", "x", "9" * 5_000])
def test_what_is_no_consul_is_a_fault(index: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response([], headers={"X-Consul-Index": index})

    with serving(answer) as url, following(type="consul", name="web", url=url) as source:
        assert "is that a Consul agent?" in source.fault()


class Etcd:
    """An etcd started for the tests."""

    def __init__(self, folder: Path) -> None:
        self.port, self._peer = PORTS.take(), PORTS.take()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self.start()

    def start(self) -> None:
        peer = f"http://127.0.0.1:{self._peer}"
        self._process = subprocess.Popen(
            ["etcd", "--data-dir", str(self._folder / "data"), "--listen-client-urls", self.url,
             "--advertise-client-urls", self.url, "--listen-peer-urls", peer,
             "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers, "etcd answers", timeout_s=60)

    def _answers(self) -> bool:
        try:
            return bool(self.call("kv/range", {"key": "YQ=="}))
        except OSError:
            return False

    def call(self, path: str, body: dict[str, str]) -> dict[str, object]:
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            done: dict[str, object] = json.load(answer)
            return done

    def put(self, key: str, value: str) -> None:
        words = (base64.b64encode(word.encode()).decode() for word in (key, value))
        self.call("kv/put", dict(zip(("key", "value"), words, strict=True)))

    def delete(self, key: str) -> None:
        self.call("kv/deleterange", {"key": base64.b64encode(key.encode()).decode()})

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(20)


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    if shutil.which("etcd") is None:
        pytest.skip("no etcd here")
    server = Etcd(tmp_path)
    yield server
    server.stop()
    PORTS.release(server.port)
    PORTS.release(server._peer)


def test_etcd_tells_of_each_change_below_the_prefix(etcd: Etcd) -> None:
    etcd.put("/web/a", "127.0.0.1:81")
    etcd.put("/wec/x", "127.0.0.1:99")
    settings = {"type": "etcd", "url": etcd.url, "prefix": "/web/", "interval": "1h"}
    with following(**settings) as source:
        assert source.addresses() == ["127.0.0.1:81"]
        etcd.put("/web/b", '{"address": "127.0.0.1:82", "weight": 3}')
        source.until("127.0.0.1:81", "127.0.0.1:82")
        etcd.delete("/web/a")
        source.until("127.0.0.1:82")
        etcd.put("/wec/y", "127.0.0.1:98")
        etcd.put("/web/c", "nonsense")
        etcd.put("/web/d", "127.0.0.1:83")
        while len((answer := source.answer()).members) != 2:
            pass
        assert [one.address for one in answer.members] == ["127.0.0.1:82", "127.0.0.1:83"]
        assert answer.faults == ('backend "nonsense": "nonsense" has no port',)


def test_an_etcd_that_stops_is_a_fault(etcd: Etcd) -> None:
    with following(type="etcd", url=etcd.url, prefix="/web/", interval="1h") as source:
        assert source.addresses() == []
        etcd.stop()
        assert etcd.url in source.fault()
