"""The tcp check: a connection, and optionally a conversation.

Steps are done in order: `send` is sent, then data is read until `expect` is found in the data that
came since the previous step. An expression that can only be judged at the end of an answer (`$`) is
judged when the connection has ended, after ANSWER_BYTES_MAX, or when the step has had its share of
the time.
"""

from __future__ import annotations

import asyncio

from l4lb.checker import expect
from l4lb.checker.limits import ANSWER_BYTES_MAX
from l4lb.checker.shown import quoted
from l4lb.checker.stream import Wire, connect, open_plain
from l4lb.checker.types import Attempt, LateError, Outcome, ProbeError, Settings, Target
from l4lb.config.values import payload
from l4lb.native.results import Result


class Conversation:
    """Data that has come over a stream and that no step has used yet."""

    def __init__(self, wire: Wire, settings: Settings, attempt: Attempt) -> None:
        self._wire = wire
        self._steps = settings.all_steps()
        self._timeout_ms = settings.timeout_ms
        self._until_s = attempt.until_s
        self._data = b""

    async def run(self) -> str:
        """Goes through the steps and describes what was done. Raises ProbeError, OSError."""
        many = len(self._steps)
        for number, step in enumerate(self._steps, 1):
            if "send" in step:
                await self._wire.send(payload.to_bytes(step["send"]))
            if "expect" in step:
                await self._expect(step["expect"], f"step {number} of {many}", many - number + 1)
        return f"{many} of {many} steps" if many else "connected"

    async def _expect(self, expected: str, step: str, steps_left: int) -> None:
        """Reads until expected is found, and takes the data up to its end."""
        now_s = asyncio.get_running_loop().time()
        until_s = now_s + (self._until_s - now_s) / steps_left
        while True:
            looked = self._data[:ANSWER_BYTES_MAX]
            end = expect.find(expected, looked)
            if end >= 0:
                self._data = self._data[end:]
                return
            ended = await self._more(until_s)
            if ended is None:
                continue
            if expect.at_the_end(expected, looked):
                self._data = self._data[len(looked) :]
                return
            if ended is not Result.TIMEOUT or until_s >= self._until_s:
                raise self._fault(ended, step)
            until_s = self._until_s

    async def _more(self, until_s: float) -> Result | None:
        """Takes the next data. Returns the reason if there is none."""
        if len(self._data) >= ANSWER_BYTES_MAX:
            return Result.ANSWER
        try:
            more = await self._wire.receive(until_s)
        except TimeoutError as error:
            if error.errno:
                raise
            return Result.TIMEOUT
        self._data += more
        return None if more else Result.CLOSED

    def _fault(self, why: Result, step: str) -> ProbeError:
        got = quoted(self._data)
        if why is Result.ANSWER:
            return ProbeError(why, f"{step}: not found in {ANSWER_BYTES_MAX} bytes, got {got}")
        if why is Result.CLOSED:
            how = f"got {got}, then closed" if self._data else "closed without a word"
            return ProbeError(why, f"{step}: {how}")
        if self._data:
            text = f"{step}: got {got}, and no more in {self._timeout_ms} ms"
            return LateError(Result.ANSWER, text)
        return LateError(why, f"{step}: no answer in {self._timeout_ms} ms")


async def probe(target: Target, settings: Settings, attempt: Attempt) -> Outcome:
    """Connects, goes through the steps, and closes."""
    if settings.send_proxy == "off" and not settings.all_steps():
        (await connect(target.address, settings.way, attempt.until_s)).close()
        return Outcome(Result.OK, 0, "connected")
    wire = await open_plain(target, settings, attempt)
    return Outcome(Result.OK, 0, await Conversation(wire, settings, attempt).run())
