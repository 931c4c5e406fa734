"""The phases of a change of the configuration. One change is under way at a time.

    idle -> loading -> preparing -> installing -> idle
      |        |           |            `-------> on trial -> idle          (it was confirmed)
      |        `-----------`-> idle  (it failed)     |  `---> going back -> idle
      |                                              `---> installing -> on trial
      |-> installing -> idle          (no file to read: `remove`, or a result of discovery)
      `-> upgrading -> idle           (the new program did not take over)

A plan ends after loading. Results of discovery are installed during a trial too.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from l4lb.errors import AdminError


class Phase(Enum):
    """The phases. The value is the phase in words, for phases in which the change has no own
    words."""

    IDLE = ""
    LOADING = "loading"
    PREPARING = "preparing"
    INSTALLING = "installing"
    ON_TRIAL = "a reload that waits for `confirm`"
    GOING_BACK = "going back to the configuration before"
    UPGRADING = "an upgrade"


EDGES: Mapping[Phase, set[Phase]] = {
    Phase.IDLE: {Phase.LOADING, Phase.INSTALLING, Phase.UPGRADING},
    Phase.LOADING: {Phase.PREPARING, Phase.IDLE},
    Phase.PREPARING: {Phase.INSTALLING, Phase.IDLE},
    Phase.INSTALLING: {Phase.IDLE, Phase.ON_TRIAL},
    Phase.ON_TRIAL: {Phase.IDLE, Phase.GOING_BACK, Phase.INSTALLING},
    Phase.GOING_BACK: {Phase.IDLE},
    Phase.UPGRADING: {Phase.IDLE},
}


class Progress:
    """The phase, and the change under way in words."""

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self._what = ""

    def go(self, to: Phase, what: str = "") -> None:
        """Goes to another phase; the only way to do so. what: the change in words, kept until
        replaced."""
        assert to in EDGES[self.phase], (self.phase, to)
        self.phase = to
        self._what = what or self._what

    def refuse_unless(self, *phases: Phase) -> None:
        """Raises AdminError unless the phase is one of these."""
        if self.phase not in phases:
            told = self.phase in (Phase.ON_TRIAL, Phase.GOING_BACK, Phase.UPGRADING)
            what = self.phase.value if told else self._what
            raise AdminError("busy", f"{what} is under way; try again when it has ended")
