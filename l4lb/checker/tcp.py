"""The tcp check: does the backend accept a connection, and say what is expected of it?

Steps go one after the other: what `send` says is sent, then it is read until `expect` is found in
what has come since the step before.
"""

from __future__ import annotations

from l4lb.checker.types import Outcome, ProbeError, Settings, Target
from l4lb.checker.wire import ANSWER_BYTES_MAX, Wire, connect, open_plain
from l4lb.config import payload
from l4lb.native.results import Result

SHOWN_BYTES = 60  # of an answer that is not the expected one


def shown(data: bytes) -> str:
    """The beginning of an answer, for people."""
    return repr(data[:SHOWN_BYTES])[1:] + ("..." if len(data) > SHOWN_BYTES else "")


async def _expect(wire: Wire, expected: str, data: bytes, step: str) -> bytes:
    """Reads until expected is there; what came after it."""
    while True:
        end = payload.find(expected, data)
        if end >= 0:
            return data[end:]
        if len(data) >= ANSWER_BYTES_MAX:
            raise ProbeError(
                Result.ANSWER, f"{step}: not found in {ANSWER_BYTES_MAX} bytes: {shown(data)}"
            )
        more = await wire.receive()
        if not more:
            came = f"after {shown(data)}" if data else "without a word"
            raise ProbeError(Result.CLOSED, f"{step}: closed {came}")
        data += more


async def converse(wire: Wire, settings: Settings) -> str:
    """Goes through the steps; says what was done. Raises ProbeError, OSError."""
    steps = settings.all_steps()
    data = b""
    for number, step in enumerate(steps, 1):
        if "send" in step:
            await wire.send(payload.to_bytes(step["send"]))
        if "expect" in step:
            data = await _expect(wire, step["expect"], data, f"step {number} of {len(steps)}")
    return f"{len(steps)} of {len(steps)} steps" if steps else "connected"


async def probe(target: Target, settings: Settings) -> Outcome:
    """Connects, goes through the steps, lets go."""
    if settings.send_proxy == "off" and not settings.all_steps():
        (await connect(target.address, settings.way)).close()
        return Outcome(Result.OK, 0, "connected")
    wire = await open_plain(target, settings)
    try:
        return Outcome(Result.OK, 0, await converse(wire, settings))
    finally:
        wire.close()
