"""Real programs talk through l4lb without noticing it."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

from ..harness import Backends, Balancer, greet
from ..harness.servers import need, nginx, postgres, redis, wrk_sees_no_error

MIB = 1 << 20


def write_large_file(path: Path, mib: int) -> str:
    """Writes a file of random bytes. Returns its sha256."""
    digest = hashlib.sha256()
    rng = random.Random(256)
    with path.open("wb") as file:
        for _ in range(mib):
            part = rng.randbytes(MIB)
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def host_port(lb: Balancer) -> tuple[str, str]:
    host, port = lb.address
    return host, str(port)


def test_curl_downloads_256_mib_from_nginx_unchanged(tmp_path: Path) -> None:
    curl = need("curl")
    with nginx(tmp_path) as port:
        want = write_large_file(tmp_path / "www" / "large", 256)
        with Balancer.before([f"127.0.0.1:{port}"]) as lb:
            host, listen_port = host_port(lb)
            url = f"http://{host}:{listen_port}/large"
            process = subprocess.Popen([curl, "-sS", "--fail", url], stdout=subprocess.PIPE)
            assert process.stdout
            digest = hashlib.sha256()
            while part := process.stdout.read(MIB):
                digest.update(part)
            assert process.wait(timeout=20) == 0
            assert digest.hexdigest() == want
            assert lb.total("bytes_out") > 256 * MIB


def test_wrk_sees_no_socket_error_in_front_of_nginx(tmp_path: Path) -> None:
    with nginx(tmp_path) as port:
        (tmp_path / "www" / "small").write_bytes(b"x" * 1000)
        with Balancer.before([f"127.0.0.1:{port}"]) as lb:
            host, listen_port = host_port(lb)
            for header in ("Connection: keep-alive", "Connection: close"):
                url = f"http://{host}:{listen_port}/small"
                wrk_sees_no_error("-t2", "-c64", "-d2s", "-H", header, url)


def test_redis_benchmark_completes_and_redis_cli_reads_back_what_it_wrote(tmp_path: Path) -> None:
    benchmark, cli = need("redis-benchmark"), need("redis-cli")
    with redis(tmp_path) as port, Balancer.before([f"127.0.0.1:{port}"]) as lb:
        host, listen_port = host_port(lb)
        to = ["-h", host, "-p", listen_port]
        load = ["-q", "-n", "20000", "-c", "40", "-P", "4", "-d", "512"]
        done = subprocess.run(
            [benchmark, *to, *load, "-t", "ping,set,get,lrange_100"],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "rror" not in done.stdout + done.stderr
        value = "v" * 100_000
        subprocess.run([cli, *to, "-x", "set", "k"], input=value.encode(), check=True, timeout=20)
        got = subprocess.run([cli, *to, "get", "k"], capture_output=True, check=True, timeout=20)
        assert got.stdout.decode().strip() == value


def test_psql_loads_and_reads_rows_through_the_balancer(tmp_path: Path) -> None:
    psql = need("psql")
    with postgres(tmp_path) as port, Balancer.before([f"127.0.0.1:{port}"]) as lb:
        host, listen_port = host_port(lb)
        to = [psql, "-h", host, "-p", listen_port, "-U", "test", "-d", "postgres", "-At"]
        rows = "".join(f"{n}\t{n * n}\n" for n in range(50_000))
        subprocess.run([*to, "-c", "create table t (a int, b bigint)"], check=True, timeout=30)
        subprocess.run(
            [*to, "-c", "copy t from stdin"], input=rows.encode(), check=True, timeout=30
        )
        got = subprocess.run(
            [*to, "-c", "copy (select a, b from t order by a) to stdout"],
            capture_output=True,
            check=True,
            timeout=30,
        )
        assert got.stdout.decode() == rows


def test_a_server_that_speaks_first_is_heard_before_the_client_says_anything() -> None:
    with Backends(1, mode="echo") as backends, Balancer.before(backends.rows()) as lb:
        for _ in range(20):
            client, name = greet(lb)
            with client:
                assert name == "a"
                client.sendall(b"after")
                assert client.recv(5) == b"after"
