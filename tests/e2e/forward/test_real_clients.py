"""Programs that people use through a forward proxy. One proxy serves them all, by HTTP and by
SOCKS5, and it alone knows the address of the host that they ask for."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from unit.discovery.nameserver import nameserver

from ..harness import PATIENCE_S, PORTS, Backends, Balancer
from ..harness.browser import browser
from ..harness.secure import Authority
from ..harness.servers import need, running
from .proxy import Tunnel, proxy

HOST = "files.example"
SCRIPTS = 20
PAGE = "<!doctype html><title>outside</title>" + "".join(
    f'<script src="/{number}.js"></script>' for number in range(SCRIPTS)
)
WHEEL = "l4lb_told-1.0-py3-none-any.whl"
PACKAGE = "l4lb-told_1.0_all.deb"


@dataclass
class Outside:
    """A server of files, in clear text and by TLS. folder: its files."""

    folder: Path
    port: int
    secure_port: int
    ca: str

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}/{path}"

    def secure_url(self, path: str) -> str:
        return f"https://{HOST}:{self.secure_port}/{path}"


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serves the folder's files for the time of the block; yields the port."""

    def handler(*args: object) -> Quiet:
        return Quiet(*args, directory=str(folder))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "hello").write_text("hello")
    (folder / "page.html").write_text(PAGE)
    for number in range(SCRIPTS):
        (folder / f"{number}.js").write_text(f"window.sum = (window.sum || 0) + {number};")
    with Authority() as authority:
        row = authority.issue(HOST)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(row["cert"], row["key"])
        with serving(folder) as port, serving(folder, context) as secure_port:
            yield Outside(folder, port, secure_port, authority.path)


@dataclass
class Inside:
    """The proxy as its clients know it: by HTTP and by SOCKS5."""

    http: str
    socks: str


@pytest.fixture(scope="module")
def inside() -> Iterator[Inside]:
    with nameserver() as names:
        names.zone[f"{HOST} A"] = [f"{HOST} 60 A 127.0.0.1"]
        lb = proxy(resolve={"servers": [names.server], "family": "ipv4"})
        assert lb.config is not None
        socks = f"127.0.0.1:{PORTS.take()}"
        lb.config["listeners"]["socks"] = {
            "bind": [socks],
            "protocol": "socks5",
            "forward": "office",
        }
        with lb:
            yield Inside("{}:{}".format(*lb.address), socks)


def ran(*command: str, folder: Path | None = None, **environ: str) -> str:
    """Runs a program, which must succeed, without what the machine's environment says of proxies
    and certificates. Returns what it says."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 3,
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_wget_gets_a_file(inside: Inside, outside: Outside, secure: bool) -> None:
    url = outside.secure_url("hello") if secure else outside.url("hello")
    way = {f"{scheme}_proxy": f"http://{inside.http}" for scheme in ("http", "https")}
    assert ran(need("wget"), "-qO-", f"--ca-certificate={outside.ca}", url, **way) == "hello"


@pytest.mark.parametrize("way", ["http", "socks"])
def test_git_clones_a_repository(
    inside: Inside, outside: Outside, tmp_path: Path, way: str
) -> None:
    git = need("git")
    home = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    repository = outside.folder / f"{way}.git"
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    ran(git, "init", "-q", str(tmp_path / "here"), **home)
    ran(git, *who, "commit", "-qm", "told", "--allow-empty", folder=tmp_path / "here", **home)
    ran(git, "clone", "-q", "--bare", str(tmp_path / "here"), str(repository), **home)
    ran(git, "update-server-info", folder=repository, **home)
    through = f"http://{inside.http}" if way == "http" else f"socks5h://{inside.socks}"
    url = outside.url(repository.name) if way == "http" else outside.secure_url(repository.name)
    options = ["-c", f"http.proxy={through}", "-c", f"http.sslCAInfo={outside.ca}"]
    ran(git, *options, "clone", "-q", url, str(tmp_path / "there"), **home)
    assert ran(git, "log", "--format=%s", folder=tmp_path / "there", **home) == "told\n"


def test_pip_downloads_from_an_index(inside: Inside, outside: Outside, tmp_path: Path) -> None:
    folder = outside.folder / "simple" / "l4lb-told"
    folder.mkdir(parents=True)
    about = "l4lb_told-1.0.dist-info/"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr(f"{about}METADATA", "Metadata-Version: 2.1\nName: l4lb-told\nVersion: 1.0\n")
        wheel.writestr(f"{about}WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        wheel.writestr(f"{about}RECORD", "")
    (folder / "index.html").write_text(f'<!doctype html><a href="{WHEEL}">{WHEEL}</a>')
    ran(
        sys.executable, "-m", "pip", "--disable-pip-version-check", "download",
        "--no-cache-dir", "--no-deps", "-qd", str(tmp_path), "--proxy", f"http://{inside.http}",
        "--cert", outside.ca, "--index-url", outside.secure_url("simple/"), "l4lb-told",
        PIP_CONFIG_FILE="/dev/null", HOME=str(tmp_path),
    )  # fmt: skip
    assert (tmp_path / WHEEL).exists()


def test_apt_downloads_from_a_repository(inside: Inside, outside: Outside, tmp_path: Path) -> None:
    """With folders of its own: the machine's packages are not touched."""
    apt, dpkg = need("apt-get"), need("dpkg-deb")
    folder = outside.folder / "apt"
    control = tmp_path / "package" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    about = (
        "Package: l4lb-told\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.example>\n"
        "Description: told\n"
    )
    control.write_text(about)
    folder.mkdir()
    ran(dpkg, "--build", str(tmp_path / "package"), str(folder / PACKAGE))
    size = (folder / PACKAGE).stat().st_size
    sum_ = ran("sha256sum", str(folder / PACKAGE)).split()[0]
    file = f"Filename: ./{PACKAGE}\nSize: {size}\nSHA256: {sum_}\n\n"
    (folder / "Packages").write_text(about + file)
    for name in ("state/lists/partial", "cache/archives/partial", "etc/sources.d", "etc/conf.d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "state/status").write_text("")
    (tmp_path / "etc/sources").write_text(f"deb [trusted=yes] {outside.url('apt')} ./\n")
    settings = {
        "Dir::State": tmp_path / "state", "Dir::State::status": tmp_path / "state/status",
        "Dir::Cache": tmp_path / "cache", "Dir::Etc": tmp_path / "etc",
        "Dir::Etc::sourcelist": tmp_path / "etc/sources",
        "Dir::Etc::sourceparts": tmp_path / "etc/sources.d", "APT::Sandbox::User": "root",
        "Acquire::http::Proxy": f"http://{inside.http}", "Acquire::Languages": "none",
    }  # fmt: skip
    (tmp_path / "apt.conf").write_text(
        "".join(f'{key} "{value}";\n' for key, value in settings.items())
    )
    own = {"APT_CONFIG": str(tmp_path / "apt.conf")}
    ran(apt, "-q", "update", **own)
    ran(apt, "-q", "download", "l4lb-told", folder=tmp_path, **own)
    assert (tmp_path / PACKAGE).stat().st_size == size


@pytest.mark.parametrize("way", ["http", "socks"])
def test_chromium_shows_a_page(inside: Inside, outside: Outside, way: str) -> None:
    through = f"http://{inside.http}" if way == "http" else f"socks5://{inside.socks}"
    flags = ["--ignore-certificate-errors", f"--proxy-server={through}"]
    with browser(flags=flags) as page:
        for url in (outside.url("page.html"), outside.secure_url("page.html")):
            page.get(url)
            assert page.title == "outside"
            assert page.execute_script("return window.sum") == sum(range(SCRIPTS))


def test_python_socks_goes_through(inside: Inside, outside: Outside) -> None:
    client = pytest.importorskip("python_socks.sync", reason="python-socks is not installed")
    for url in (f"http://{inside.http}", f"socks5://{inside.socks}"):
        sock = client.Proxy.from_url(url).connect(HOST, outside.port, timeout=PATIENCE_S)
        with sock:
            sock.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
            got = b""
            while data := sock.recv(4096):
                got += data
        assert got.endswith(b"\r\n\r\nhello")


# ---- proxies behind the proxy --------------------------------------------------------------------


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with Backends(1, "quiet") as backends:
        yield str(backends.rows()[0]["address"])


def tinyproxy(folder: Path, port: int) -> list[str]:
    settings = f'Port {port}\nListen 127.0.0.1\nTimeout 600\nAllow 127.0.0.1\nLogFile "/dev/null"\n'
    (folder / "conf").write_text(settings)
    return [need("tinyproxy"), "-d", "-c", str(folder / "conf")]


def squid(folder: Path, port: int) -> list[str]:
    settings = f"http_port 127.0.0.1:{port}\nacl all_ports port 1-65535\n"
    more = "http_access allow all_ports\ncache deny all\naccess_log none\ncache_log /dev/null\n"
    last = "pid_filename none\npinger_enable off\nshutdown_lifetime 0 seconds\n"
    (folder / "conf").write_text(settings + more + last)
    return [need("squid"), "-N", "-f", str(folder / "conf")]


def goes_through(lb: Balancer, second: str, target: str) -> bool:
    """A tunnel to the second proxy, and in it a tunnel to the target."""
    with Tunnel(lb, second) as tunnel:
        tunnel.ask(target)
        return tunnel.status == 200 and tunnel.echoes(os.urandom(100_000))


def test_a_tunnel_leads_through_a_second_one_of_its_kind(echo: str) -> None:
    with proxy() as first, proxy() as second:
        assert goes_through(first, "{}:{}".format(*second.address), echo)


@pytest.mark.parametrize("made", [tinyproxy, squid], ids=["tinyproxy", "squid"])
def test_a_tunnel_leads_through_another_proxy(made, tmp_path: Path, echo: str) -> None:
    shutil.copymode("/", tmp_path)
    with PORTS.taken() as port:
        command = made(tmp_path, port)
        with running(command, port, tmp_path / "log"), proxy() as lb:
            assert goes_through(lb, f"127.0.0.1:{port}", echo)
