"""The doctor's rules about the shield (docs/shield.md): its rights, the kernel, the package and the
interfaces; and about listeners that the kernel serves (docs/packet.md). Without these in the
configuration there is nothing to check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from l4lb.doctor.checks import Check, Need, Rule, judged
from l4lb.doctor.host import CAP_BPF, CAP_NET_ADMIN, Host
from l4lb.packet import program

OLDEST_KERNEL = (6, 1)
TCX_KERNEL = (6, 6)  # with links of tcx
FIRST_PORT = 1024  # of those that flows take: csrc/packet/begin.bpf.h
PORTS_WANTED = 4_096


def _package(_: Host, __: Need) -> Check:
    return judged(
        "shield", "built in" if program.is_built() else "not built", program.is_built(),
        wanted="a package with the shield", verdict="bad", meaning="the service cannot start",
        remedy="build l4lb again with libbpf and clang (Debian: apt install libbpf-dev clang), or"
        ' [process.packet] shield = "off"',
    )  # fmt: skip


def _rights(host: Host, _: Need) -> Check:
    lacking = [
        name
        for name, number in (("CAP_BPF", CAP_BPF), ("CAP_NET_ADMIN", CAP_NET_ADMIN))
        if not host.is_root and not host.may(number)
    ]
    return judged(
        "rights of the shield", f"no {', no '.join(lacking)}" if lacking else "there", not lacking,
        wanted="root, or CAP_BPF and CAP_NET_ADMIN", verdict="bad",
        meaning="the service cannot start",
        remedy="AmbientCapabilities=CAP_BPF CAP_NET_ADMIN in the unit (`l4lb unit` writes it), or"
        " start it as root",
    )  # fmt: skip


def _kernel(host: Host, need: Need) -> Check | None:
    release = host.text("/proc/sys/kernel/osrelease") or ""
    match = re.match(r"(\d+)\.(\d+)", release)
    if match is None:
        return None
    version = (int(match[1]), int(match[2]))
    if version < OLDEST_KERNEL:
        return judged(
            "kernel of the shield", release, False, wanted="6.1 or later", verdict="bad",
            meaning="the kernel may refuse the program; then the service cannot start",
            remedy='run a kernel of 6.1 or later, or [process.packet] shield = "off"',
        )  # fmt: skip
    return judged(
        "kernel of the shield", release, need.shield == "xdp" or version >= TCX_KERNEL,
        wanted="6.6 or later, with links of tcx",
        meaning="the program is a filter of clsact, which drops packets also after a `kill -9` of"
        " the service, until its next start",
        remedy="run a kernel of 6.6 or later, or after such an end `tc filter del dev INTERFACE"
        " ingress`",
    )  # fmt: skip


def _interfaces(host: Host, need: Need) -> Check:
    missing = [
        name for name in need.interfaces if host.text(f"/sys/class/net/{name}/ifindex") is None
    ]
    return judged(
        "interfaces of the shield", ", ".join(need.interfaces), not missing,
        wanted="interfaces of this host", verdict="bad",
        meaning=f"there is no {', '.join(missing)}: the service cannot start",
        remedy="name others in [process.packet] interfaces: see `ip link`",
    )  # fmt: skip


def _forwarding(host: Host, need: Need) -> Check:
    # why /: a dot in the name of an interface (a VLAN) is no part of the path
    off = [
        f"net.{family}.conf.{name.replace('.', '/')}.forwarding"
        for family in need.forwards
        for name in need.interfaces
        if host.text(f"/proc/sys/net/{family}/conf/{name}/forwarding") == "0"
    ]
    return judged(
        "forwarding of interfaces", f"off: {', '.join(off)}" if off else "on", not off,
        wanted="on, for listeners that the kernel serves", verdict="bad",
        meaning="the service cannot start",
        remedy=" ".join(["sysctl", "-w", *(f"{key}=1" for key in off)]),
    )  # fmt: skip


def _ports(host: Host, _: Need) -> Check | None:
    """The kernel's flows take the ports that the host's own connections do not."""
    found = host.numbers("/proc/sys/net/ipv4/ip_local_port_range")
    if len(found) != 2:
        return None
    low, high = max(found[0], FIRST_PORT), found[1]
    left = 65_536 - FIRST_PORT - max(0, high - low + 1)
    return judged(
        "ports for the kernel", f"{left} outside of net.ipv4.ip_local_port_range",
        left >= PORTS_WANTED, wanted=f"{PORTS_WANTED} or more",
        meaning=f"at most {left} connections of packet listeners to one backend from one address;"
        " workers serve the others",
        remedy='sysctl -w net.ipv4.ip_local_port_range="16384 60999"; or several `source`s',
    )  # fmt: skip


def _firewall(host: Host, _: Need) -> Check:
    used = re.search(r"^nf_tables \d+ [1-9]", host.text("/proc/modules") or "", re.MULTILINE)
    tables = host.text("/proc/net/ip_tables_names")
    return judged(
        "firewall", "has rules" if used or tables else "no rules seen", not (used or tables),
        wanted="no rules for the ports of listeners that the kernel serves",
        meaning="packets of these listeners do not pass the host's firewall",
        remedy="write `access` with refusal = \"drop\" for what the firewall was to refuse",
    )  # fmt: skip


RULES: Sequence[Rule] = (_package, _kernel, _rights, _interfaces)
OF_LISTENERS: Sequence[Rule] = (_forwarding, _ports, _firewall)


def examine(host: Host, need: Need) -> Iterator[Check]:
    """Yields the result of every rule, if the service is to have programs in the kernel."""
    rules = [*(RULES if need.shield != "off" or need.forwards else ()),
             *(OF_LISTENERS if need.forwards else ())]  # fmt: skip
    for rule in rules:
        found = rule(host, need)
        if found is not None:
            yield found
