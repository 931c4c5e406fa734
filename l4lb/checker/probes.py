"""The kinds of checks, and one check with its timeout and its faults made an outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import l4lb.log
from l4lb.checker import datagram, http, program, tcp, tls
from l4lb.checker.types import Outcome, Probe, ProbeError, Settings, Target
from l4lb.checker.wire import outcome_of
from l4lb.native.results import Result

PROBES: Mapping[str, Probe] = {
    "tcp": tcp.probe,
    "http": http.probe,
    "https": http.probe,
    "tls": tls.probe,
    "udp": datagram.probe_udp,
    "dns": datagram.probe_dns,
    "exec": program.probe,
}
STALL_S = 0.5  # a timeout that comes this late tells of a stop of this process
LOG = l4lb.log.get("checker")


async def check(target: Target, settings: Settings) -> Outcome:
    """One check, within its timeout. Never raises but when cancelled."""
    timeout_s = settings.timeout_ms / 1000
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            return await PROBES[settings.type](target, settings)
    except ProbeError as error:
        return error.outcome
    except TimeoutError as error:
        if error.errno:  # the kernel's own, of a connection
            return outcome_of(error)
        if time.monotonic() - started_s > timeout_s + STALL_S:
            return Outcome(Result.STALLED, 0, "this process was stopped meanwhile")
        return Outcome(Result.TIMEOUT, 0, f"no answer in {settings.timeout_ms} ms")
    except OSError as error:
        return outcome_of(error)
    except Exception as error:
        LOG.error("a check failed by itself", type=settings.type, error=repr(error))
        return Outcome(Result.NO_SOCKET, 0, "the check itself failed; see the log")
