"""Services that ask for the packet path where rights or the programs are missing."""

from __future__ import annotations

import copy
import shutil
import sys
from pathlib import Path

import pytest

from l4lb.packet import program

from ..harness.netns import Route
from .test_listeners import balancer, client, config, pins, route, said

__all__ = ["pins", "route"]

pytestmark = pytest.mark.skipif(not program.is_built(), reason="built without libbpf or clang")
NO_RIGHTS = ["setpriv", "--bounding-set", "-bpf,-net_admin,-sys_admin,-perfmon"]


def test_without_rights_packet_is_refused_and_auto_is_served_by_workers(
    route: Route, pins: str
) -> None:
    made = config(pins, shield="off")
    lb = balancer(route, copy.deepcopy(made))
    lb.command = [*route.prefix, *NO_RIGHTS, *lb.command[len(route.prefix) :]]
    with pytest.raises(AssertionError, match="CAP_BPF and CAP_NET_ADMIN"), lb:
        pass
    made["listeners"]["web"]["data_path"] = "auto"
    lb = balancer(route, copy.deepcopy(made))
    lb.command = [*route.prefix, *NO_RIGHTS, *lb.command[len(route.prefix) :]]
    with lb, client(route, 4) as one:
        assert said(one) == b"word"
        assert lb.ask("sessions")[0]["worker"] == 0
        assert lb.ask("packets")[0]["served_by"] == "workers"


def test_a_package_without_the_programs_says_so_and_serves_the_rest(
    route: Route, pins: str, tmp_path: Path
) -> None:
    package = tmp_path / "site" / "l4lb"
    shutil.copytree(Path(program.__file__).parents[1], package)
    for pattern in ("native/bpf.*.so", "native/forward.*.so", "native/packet.*.so", "packet/*.o"):
        for path in package.glob(pattern):
            path.unlink()
    command = ["env", f"PYTHONPATH={package.parent}", sys.executable, "-m", "l4lb"]
    made = config(pins, shield="off")
    lb = balancer(route, copy.deepcopy(made))
    lb.command = [*route.prefix, *command]
    with pytest.raises(AssertionError, match="built without"), lb:
        pass
    made["listeners"]["web"]["data_path"] = "proxy"
    lb = balancer(route, copy.deepcopy(made))
    lb.command = [*route.prefix, *command]
    with lb, client(route, 4) as one:
        assert said(one) == b"word"
