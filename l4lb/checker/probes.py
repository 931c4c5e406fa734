"""The table of check types, and one check with its timeout: every fault becomes an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import l4lb.log
from l4lb.checker import datagram, http, program, tcp, tls
from l4lb.checker.stream import outcome_of
from l4lb.checker.types import Attempt, LateError, Outcome, Probe, ProbeError, Settings, Target
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
STALL_S = 0.5  # a timeout that comes this late shows that this process was stopped
LOG = l4lb.log.get("checker")


async def check(target: Target, settings: Settings, ends: AsyncExitStack) -> Outcome:
    """Makes one check, within its timeout. ends: the things to close when the outcome is known. It
    raises only when it is cancelled."""
    loop = asyncio.get_running_loop()
    attempt = Attempt(loop.time() + settings.timeout_ms / 1000, ends)
    try:
        # why: each wait of a probe ends by itself; this limit is for one that was forgotten.
        async with asyncio.timeout_at(attempt.until_s + STALL_S / 2):
            return await PROBES[settings.type](target, settings, attempt)
    except LateError as error:
        return _late(attempt, error.outcome)
    except ProbeError as error:
        return error.outcome
    except TimeoutError as error:
        if error.errno:  # the kernel's own, of a connection
            return outcome_of(error)
        return _late(attempt, Outcome(Result.TIMEOUT, 0, f"no answer in {settings.timeout_ms} ms"))
    except OSError as error:
        return outcome_of(error)
    except Exception as error:
        LOG.error("a check failed by itself", type=settings.type, error=repr(error))
        return Outcome(Result.NO_SOCKET, 0, "the check itself failed; see the log")


def _late(attempt: Attempt, outcome: Outcome) -> Outcome:
    if asyncio.get_running_loop().time() > attempt.until_s + STALL_S:
        return Outcome(Result.STALLED, 0, "this process was stopped meanwhile")
    return outcome
