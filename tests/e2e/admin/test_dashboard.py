"""The dashboard in a real browser: its content, the changes it can make, and who may make them."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PATIENCE_S, PORTS, Backends, Balancer, Load, echo, greet, until
from ..harness.browser import browser, console
from ..harness.http import answer, client
from ..harness.http import before as web
from ..harness.origin import Origin
from ..harness.secure import Authority

TOKEN = "a token that is long enough"
CHECKS = {"type": "tcp", "interval": "100ms", "fall": 2, "rise": 1}


def named(backends: Backends) -> list[dict[str, str]]:
    pairs = zip(backends.names, backends.addresses, strict=True)
    return [{"name": name, "address": address} for name, address in pairs]


def balancer(backends: Backends, **process: Any) -> Balancer:
    http = f"127.0.0.1:{PORTS.take()}"
    return Balancer.before(named(backends), process={"http": http, **process}, health=CHECKS)


def address(lb: Balancer) -> tuple[str, int]:
    assert lb.config
    host, _, port = lb.config["process"]["http"].rpartition(":")
    return host, int(port)


def url(lb: Balancer) -> str:
    return "http://{}:{}/".format(*address(lb))


def ask(
    lb: Balancer, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(*address(lb), timeout=PATIENCE_S)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body)
    connection.request(method, path, body=data, headers=sent)
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    is_json = (answer.headers["Content-Type"] or "").startswith("application/json")
    return answer.status, json.loads(found) if is_json else found, answer.headers


def row(driver: Any, name: str) -> str:
    """Returns the text of a backend's row."""
    script = """return [...document.querySelectorAll('#pools tbody tr')]
        .filter((tr) => tr.cells[0].textContent.startsWith(arguments[0] + ' '))
        .map((tr) => tr.innerText).join('')"""
    return str(driver.execute_script(script, name))


def test_it_shows_what_goes_on_and_a_drain_needs_the_token(three: Backends, tmp_path: Any) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    with (
        balancer(three, http_admin=True, http_token_file=str(token)) as lb,
        browser() as page,
        Load(lb, threads=1, size=2_000) as load,
    ):
        page.get(url(lb))
        until(lambda: "up" in row(page, "a") and "up" in row(page, "c"), "backends are shown")
        assert page.find_element("id", "link").text == "live"
        load.wait_for_more(5)
        three.stop("b")
        started = time.monotonic()
        until(lambda: "down" in row(page, "b"), "a backend that goes down is shown")
        print(f"shown after {time.monotonic() - started:.2f} s")
        until(lambda: "check: refused" in row(page, "b"), "and why")
        until(lambda: "backend down" in page.find_element("id", "events").text, "the event")
        until(lambda: "99 %" in page.find_element("id", "heat-c").text, "latencies")
        until(lambda: "127.0.0.1" in page.find_element("id", "talkers").text, "who is busiest")
        assert not page.find_elements("css selector", "#pools button"), "nothing to press yet"

        give_token(page, "wrong")
        press(page, "drain a")
        until(lambda: "token" in page.find_element("id", "failure").text, "it is refused")
        assert lb.backends()["a"]["state"] == "ready"
        give_token(page, TOKEN)
        press(page, "drain a")
        until(lambda: lb.backends()["a"]["state"] == "drain", "it drains")
        until(lambda: "an operator drains it" in row(page, "a"), "and is shown so")
        press(page, "ready a")
        until(lambda: lb.backends()["a"]["state"] == "ready", "it is ready again")
        # The console may report only the refusal of the wrong token.
        assert all("401" in one for one in console(page))


def test_certificates_are_shown_with_the_days_that_are_left(three: Backends) -> None:
    with Authority() as ca:
        lb = Balancer.secured(
            three.addresses,
            {"certificates": [ca.issue("www.example.com")]},
            process={"http": f"127.0.0.1:{PORTS.take()}"},
        )
        with lb, browser() as page:
            page.get(url(lb))
            until(
                lambda: "www.example.com" in page.find_element("id", "certificates").text,
                "the certificate is shown",
            )
            days = lb.ask("certs")[0]["days_left"]
            assert str(days) in page.find_element("id", "certificates").text
            assert not console(page)


def test_requests_are_shown_by_listener_status_and_route() -> None:
    with Origin() as origin:
        lb = web(
            [origin.row],
            process={"http": f"127.0.0.1:{PORTS.take()}"},
            listener={
                "routes": [
                    {"name": "assets", "path_prefix": "/static/", "pool": "web"},
                    {"path": "/gone", "respond": {"status": 410}},
                ]
            },
        )
        with lb, browser() as page, client(lb) as peer:
            page.get(url(lb))
            for target in ("/static/a", "/static/b", "/gone", "/"):
                peer.ask(target)
            shown = page.find_element("id", "web-s")
            until(lambda: shown.is_displayed() and "assets" in shown.text, "requests are shown")
            header, row = (cells(page, "web", at) for at in ("thead tr", "tbody tr"))
            until(lambda: cells(page, "web", "tbody tr")[7] == "4", "all requests are shown")
            assert header[7] == "requests"
            assert row[0] == "web"
            routes = {cells(page, "routes", f"tbody tr:nth-child({n})")[0]: n for n in (1, 2)}
            found = cells(page, "routes", f"tbody tr:nth-child({routes['web assets']})")
            until(
                lambda: (
                    cells(page, "routes", f"tbody tr:nth-child({routes['web assets']})")[3] == "2"
                ),
                "the route has its requests",
            )
            assert found[1:3] == ["path_prefix /static/", "pool web"]
            assert lb.ask("stats")["statuses"] == {"2xx": 3, "4xx": 1}
            assert not console(page)


def test_caches_are_shown_with_their_hits() -> None:
    kept = [("Cache-Control", "max-age=60")]
    with Origin(lambda _: answer(b"x", fields=kept)) as origin:
        process = {"http": f"127.0.0.1:{PORTS.take()}"}
        lb = web([origin.row], process=process, http={"cache": "pages"})
        assert lb.config
        lb.config["cache"] = {"pages": {"memory": "8MiB"}}
        with lb, browser() as page, client(lb) as peer:
            page.get(url(lb))
            for _ in range(4):
                peer.ask("/a")
            shown = page.find_element("id", "caches-s")
            until(lambda: shown.is_displayed(), "caches are shown")
            until(lambda: cells(page, "caches", "tbody tr")[3] == "75.0 %", "the hits are shown")
            until(lambda: cells(page, "caches", "tbody tr")[2] == "-", "there are no hits now")
            assert cells(page, "caches", "tbody tr")[0] == "pages"
            assert cells(page, "caches", "thead tr")[3] == "hits"
            assert not console(page)


# The heights (0 is the top) at which the chart of hits has a line.
HEIGHTS = """const canvas = document.getElementById('hits'), {width: w, height: h} = canvas;
    const accent = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
    const [red, green, blue] = accent.match(/[0-9a-f]{2}/gi).map((one) => parseInt(one, 16));
    const data = canvas.getContext('2d').getImageData(0, 0, w, h).data;
    const near = (at, color) => Math.abs(data[at] - color) < 8;
    return [...Array(h).keys()].filter((y) => [...Array(w).keys()].some((x) => {
      const at = 4 * (y * w + x);
      return near(at, red) && near(at + 1, green) && near(at + 2, blue);
    }));"""


def test_the_chart_of_hits_has_a_gap_where_nothing_was_asked() -> None:
    kept = [("Cache-Control", "max-age=60")]
    with Origin(lambda _: answer(b"x", fields=kept)) as origin:
        process = {"http": f"127.0.0.1:{PORTS.take()}"}
        with web([origin.row], process=process, cache={}) as lb, browser() as page:
            with client(lb) as peer:
                assert peer.ask("/a").status == 200
                page.get(url(lb))
                chart = page.find_element("id", "hits")
                until(lambda: chart.get_attribute("aria-label").startswith("hits -"), "it is idle")
                assert page.execute_script(HEIGHTS) == []
                for _ in range(2):
                    peer.ask("/a")
                    until(lambda: "hits 100.0 %" in chart.get_attribute("aria-label"), "a hit")
                    until(lambda: "hits -" in chart.get_attribute("aria-label"), "it is idle again")
            drawn = page.execute_script(HEIGHTS)
            assert drawn
            assert max(drawn) < 10, "all of what was asked was a hit"


def cells(page: Any, table: str, row: str) -> list[str]:
    return [one.text for one in page.find_elements("css selector", f"#{table} {row} > *")]


def give_token(page: Any, token: str) -> None:
    until(lambda: page.find_element("id", "unlock").is_displayed(), "the token is asked for")
    page.find_element("id", "unlock").click()
    page.find_element("id", "token-i").send_keys(token)
    page.find_element("css selector", "#token button[value=ok]").click()


def press(page: Any, label: str) -> None:
    command, _, name = label.partition(" ")
    selector = f"button[aria-label='{command} web/{name}']"
    until(lambda: page.find_elements("css selector", selector), f"a button {label}")
    # why: pressed by script, because a row may be drawn again between the look-up and the press.
    page.execute_script("document.querySelector(arguments[0]).click()", selector)


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_it_can_be_read_on_a_phone_and_without_eyes(
    three: Backends, width: int, dark: bool
) -> None:
    with balancer(three) as lb, browser(width=width, height=900, dark=dark) as page:
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        page.get(url(lb))
        until(lambda: "up" in row(page, "a"), "backends are shown")
        wide = page.execute_script(
            "return document.documentElement.scrollWidth - window.innerWidth"
        )
        assert wide <= 0, "nothing is wider than the screen"
        problems = page.execute_script(ACCESSIBLE)
        assert not problems
        background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(20, 23, 27)") == dark
        assert not console(page)


# Needs of screen readers: names of controls and images, headings in order, scopes; and the contrast
# of text with its background (WCAG 2, 1.4.3).
ACCESSIBLE = """
const found = [];
for (const e of document.querySelectorAll('button, input, select, canvas, [role=region]')) {
  const labels = e.labels && e.labels.length ? e.labels[0].textContent : '';
  const by = e.getAttribute('aria-labelledby');
  const name = e.getAttribute('aria-label') || labels || e.textContent.trim() ||
    (by && document.getElementById(by).textContent);
  if (!name) found.push('no name: ' + e.outerHTML.slice(0, 80));
}
for (const e of document.querySelectorAll('th:not([scope])')) found.push(e.textContent);
let level = 0;
for (const e of document.querySelectorAll('h1, h2, h3')) {
  const l = Number(e.tagName[1]);
  if (l > level + 1) found.push('heading skips: ' + e.textContent);
  level = l;
}
const light = (c) => {
  const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c)) return c;
  }
  return 'rgb(255, 255, 255)';
};
for (const e of document.querySelectorAll('h1, h2, dt, dd, td, th, p, li, figcaption, small')) {
  if (!e.textContent.trim() || !e.offsetParent) continue;
  const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) found.push('contrast: ' + e.textContent.slice(0, 40));
}
return found;
"""


def test_nothing_can_be_changed_where_it_was_not_allowed(three: Backends) -> None:
    with balancer(three) as lb:
        change = {"command": "drain", "args": {"backend": "web/a"}}
        status, said, _ = ask(
            lb, "POST", "/api/admin", change, Content_Type="application/json",
            Authorization="Bearer ",
        )  # fmt: skip
        assert (status, said["error"]["code"]) == (403, "read_only")
        status, state, headers = ask(lb, "GET", "/api/state")
        assert status == 200
        assert not state["can_change"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


def test_a_change_needs_the_token_in_a_header_a_json_body_and_a_known_command(
    three: Backends,
) -> None:
    with balancer(three, http_admin=True) as lb:
        path = os.path.join(os.path.dirname(lb.socket), "http.token")
        assert os.stat(path).st_mode & 0o777 == 0o600
        with open(path) as file:
            bearer = "Bearer " + file.read().strip()
        drain = {"command": "drain", "args": {"backend": "web/a"}}
        kinds = {"Content_Type": "application/json"}

        def code(body: Any, **headers: str) -> tuple[int, str]:
            status, said, _ = ask(lb, "POST", "/api/admin", body, **headers)
            return status, said["error"]["code"] if not said["ok"] else ""

        assert code(drain, **kinds) == (401, "denied")
        assert code(drain, Authorization=bearer + "x", **kinds) == (401, "denied")
        assert code(drain, Authorization=bearer, Content_Type="text/plain")[0] == 415
        assert (
            ask(lb, "POST", "/api/admin", drain, Host="evil.example", Authorization=bearer)[0]
            == 403
        )
        kill = {"command": "kill", "args": {"backend": "web/a"}}
        assert code(kill, Authorization=bearer, **kinds) == (400, "bad_request")
        assert code([], Authorization=bearer, **kinds) == (400, "bad_request")
        none = {"command": "drain", "args": {"backend": "web/none"}}
        assert code(none, Authorization=bearer, **kinds) == (409, "not_found")
        big = {"command": "drain", "args": {"backend": "x" * 5_000}}
        assert ask(lb, "POST", "/api/admin", big, Authorization=bearer, **kinds)[0] in (400, 413)
        assert {one["state"] for one in lb.backends().values()} == {"ready"}
        assert code(drain, Authorization=bearer, **kinds) == (200, "")
        assert lb.backends()["a"]["state"] == "drain"
        weight = {"command": "weight", "args": {"backend": "web/a", "weight": 7}}
        assert code(weight, Authorization=bearer, **kinds) == (200, "")
        assert lb.backends()["a"]["weight"] == 7


def test_many_idle_connections_keep_nobody_out(three: Backends) -> None:
    with balancer(three) as lb:
        idle = [socket.create_connection(address(lb), timeout=PATIENCE_S) for _ in range(300)]
        try:
            assert ask(lb, "GET", "/healthz")[0] == 200
            client, _ = greet(lb)
            with client:
                echo(client, 1, 1_000)
        finally:
            for one in idle:
                one.close()


def test_a_stream_goes_on_while_others_come_and_go(three: Backends) -> None:
    with balancer(three) as lb, socket.create_connection(address(lb), timeout=PATIENCE_S) as one:
        one.sendall(b"GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        reading = one.makefile("rb")
        until(lambda: reading.readline().startswith(b"data: "), "the first state", every_s=0)
        idle = [socket.create_connection(address(lb), timeout=PATIENCE_S) for _ in range(280)]
        until(lambda: reading.readline().startswith(b"data: "), "another state", every_s=0)
        for other in idle:
            other.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
        b"POST /api/admin HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"y" * 70_000,
    ],
)
def test_what_is_no_request_is_refused_without_a_word_in_the_log(
    guarded: Balancer, data: bytes
) -> None:
    with socket.create_connection(address(guarded), timeout=PATIENCE_S) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        try:
            said = client.recv(65_536)
        except ConnectionResetError:
            said = b""
    assert not said or said.split()[1] in (b"400", b"401", b"403", b"431")
    assert ask(guarded, "GET", "/healthz")[0] == 200
    assert "Traceback" not in guarded.log()
    assert "failed" not in guarded.log()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Balancer]:
    """A balancer whose page may change things with a token."""
    with Backends(1) as backends, balancer(backends, http_admin=True) as lb:
        yield lb
