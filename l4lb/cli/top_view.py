"""The screen of `l4lb admin top`: totals with their history, backends, workers.

It only reads. When the service goes away, the last values stay with a message, and the service is
looked for again: an upgrade or a restart does not end the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Footer, Sparkline, Static

from l4lb.cli.layout import NAME_LEAST, View, cut
from l4lb.cli.rates import Rates, amount, bars, row_name
from l4lb.cli.render import event
from l4lb.cli.samples import ANSWER_TIMEOUT_S, sample
from l4lb.cli.units import cell, duration, size
from l4lb.control.serving.client import AdminClient
from l4lb.errors import L4lbError

ROWS_SHOWN = 500
EVENTS_SHOWN = 50
TREND_WIDTH = 20
NAME_PART = 3  # largest part of the screen's width for a name

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], Any]]


def _memory(row: Row) -> str:
    held = row["resident_bytes"]
    return "-" if held is None else size(held)


BACKENDS: Sequence[Column] = (
    ("backend", lambda row: f"{row['pool']}/{row['name']}"),
    ("state", lambda row: row["state"]),
    ("health", lambda row: row["health"]),
    ("active", lambda row: row["active"]),
    ("new/s", lambda row: row["total_per_s"]),
    ("in B/s", lambda row: row["bytes_in_per_s"]),
    ("out B/s", lambda row: row["bytes_out_per_s"]),
    ("errors/s", lambda row: row["connect_errors_per_s"]),
    ("resp ms", lambda row: row["response_time_ms"]),
    ("weight", lambda row: row["weight"]),
    ("address", lambda row: row["address"]),
)
WORKERS: Sequence[Column] = (
    ("worker", lambda row: row["index"]),
    ("pid", lambda row: row["pid"]),
    ("cpu", lambda row: row["cpu"]),
    ("state", lambda row: "paused" if row["paused"] else row["state"]),
    ("active", lambda row: row["active"]),
    ("new/s", lambda row: row["accepted_per_s"]),
    ("turns/s", lambda row: row["turns_per_s"]),
    ("memory", lambda row: _memory(row)),
    ("CPU s", lambda row: row["cpu_seconds"]),
    ("restarts", lambda row: row["restarts"]),
    ("lost", lambda row: row["lost"]),
)
TALKERS: Sequence[Column] = (
    ("source", lambda row: row["source"]),
    ("active", lambda row: row["active"]),
    ("ended", lambda row: row["sessions"]),
    ("rejected", lambda row: row["rejected"]),
    ("bytes", lambda row: row["bytes"]),
)
STYLES = {"up": "green", "down": "bold red", "ejected": "yellow", "drain": "yellow",
          "maint": "yellow", "paused": "yellow", "off": "red"}  # fmt: skip
WHOLE = ("pid", "worker", "cpu", "weight", "restarts", "lost")  # never shortened


class TopView(App[None]):
    """The application. path: the admin socket; interval_s: time between two requests."""

    TITLE = "l4lb top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 3; padding: 0 1; }
    .spark { height: 3; width: 1fr; padding: 0 1; }
    #sparks { height: 3; }
    Sparkline { height: 2; }
    #backends { height: 2fr; }
    #workers { height: 1fr; min-height: 5; }
    #last { height: 1fr; min-height: 5; }
    #talkers { width: 2fr; }
    #events { width: 3fr; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("p", "pause", "Pause"),
        Binding("s", "sort", "Sort by next"),
        Binding("r", "reverse", "Reverse"),
        Binding("tab", "focus_next", "Other table"),
    ]

    def __init__(self, path: str, interval_s: float) -> None:
        super().__init__()
        self._path = path
        self._interval_s = interval_s
        self._rates = Rates()
        self._client: AdminClient | None = None
        self._trouble = ""
        self._paused = False
        self._sort = -1  # column of the backends; -1: as configured
        self._reverse = False

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with Horizontal(id="sparks"):
            for name, label in (("accepted", "new connections/s"), ("bytes_out", "out bytes/s")):
                with Vertical(classes="spark"):
                    yield Static(label, id=f"{name}-label")
                    yield Sparkline([0.0], id=f"{name}-spark")
        yield DataTable(id="backends", cursor_type="row", zebra_stripes=True)
        yield DataTable(id="workers", cursor_type="row", zebra_stripes=True)
        with Horizontal(id="last"):
            yield DataTable(id="talkers", cursor_type="row", zebra_stripes=True)
            yield Static(id="events")
        yield Footer()

    def on_mount(self) -> None:
        for name, columns in (("backends", BACKENDS), ("workers", WORKERS)):
            self._table(name).add_columns(*(heading for heading, _ in columns), "trend")
        self._table("talkers").add_columns(*(heading for heading, _ in TALKERS))
        self.run_worker(self._look())

    async def _look(self) -> None:
        while True:
            if not self._paused:
                await asyncio.to_thread(self._ask)
                self._show()
            await asyncio.sleep(self._interval_s)

    def _ask(self) -> None:
        try:
            if self._client is None:
                self._client = AdminClient(self._path, timeout_s=ANSWER_TIMEOUT_S)
            self._rates.add(sample(self._client))
            self._trouble = ""
        except (L4lbError, TimeoutError) as error:
            self._trouble = str(error) or "no answer in time"
            if self._client is not None:
                self._client.close()
                self._client = None

    def _table(self, name: str) -> DataTable[Text]:
        found: DataTable[Text] = self.query_one(f"#{name}", DataTable)
        return found

    def _show(self) -> None:
        self.query_one("#head", Static).update(self._head())
        for name in ("accepted", "bytes_out"):
            past = self._rates.past("totals", "", name)
            label = "new connections/s" if name == "accepted" else "out bytes/s"
            now = amount(self._rates.totals[name])
            self.query_one(f"#{name}-label", Static).update(f"{label}: {now}")
            self.query_one(f"#{name}-spark", Sparkline).data = list(past) or [0.0]
        backends = self._rates.rows["backends"]
        if self._sort >= 0:
            value = BACKENDS[self._sort][1]
            backends = sorted(backends, key=lambda row: _order(value(row)), reverse=self._reverse)
        self._fill("backends", BACKENDS, backends, "total")
        self._fill("workers", WORKERS, self._rates.rows["workers"], "accepted")
        self._show_last()

    def _show_last(self) -> None:
        """Shows the busiest sources and the newest events."""
        last = self._rates.last
        if last is None:
            return
        table = self._table("talkers")
        table.clear()
        for row in last.talkers[:ROWS_SHOWN]:
            table.add_row(*(self._cell(heading, value(row)) for heading, value in TALKERS))
        shown = self.query_one("#events", Static)
        view = View(shown.size.width)
        newest = reversed(last.events[-EVENTS_SHOWN:])
        shown.update(Text("\n").join(Text(event(one, view)) for one in newest))

    def _head(self) -> Text:
        last = self._rates.last
        text = Text(no_wrap=True, overflow="ellipsis")
        if last is not None:
            status = last.status
            up = duration(1_000 * status["uptime_s"])
            checker = "stale" if status["checker"]["stale"] else "ok"
            text.append(f"l4lb {status['version']}", style="bold")
            text.append(
                f"  up {up}  generation {status['generation']}  connections"
                f" {status['connections']} of {status['max_connections']}  checker {checker}"
            )
            if last.stats.get("requests"):
                text.append(f"  HTTP requests/s {amount(self._rates.totals['requests'])}")
        text.append("\n")
        if self._trouble:
            text.append(self._trouble, style="bold red")
        elif self._paused:
            text.append("paused; p goes on", style="yellow")
        elif self._sort >= 0:
            text.append(f"backends by {BACKENDS[self._sort][0]}", style="dim")
        text.append("\n")
        for measure, (median, maximum) in self._rates.latency_ms.items():
            if median is not None and maximum is not None:
                text.append(f"{measure.replace('_', ' ')} {median:g} ms (99 % {maximum:g})  ")
        return text

    def _cell(self, heading: str, value: Any) -> Text:
        """Formats a number or a word; a name is cut if it takes too much of the screen."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = str(value) if heading in WHOLE else amount(value)
            return Text(text, justify="right")
        word = cut(cell(value), max(NAME_LEAST, self.size.width // NAME_PART))
        return Text(word, style=STYLES.get(word, ""))

    def _fill(self, name: str, columns: Sequence[Column], rows: Sequence[Row], count: str) -> None:
        table = self._table(name)
        cursor, top = table.cursor_row, table.scroll_y
        table.clear()
        for row in rows[:ROWS_SHOWN]:
            trend = bars(self._rates.past(name, row_name(name, row), count), TREND_WIDTH)
            cells = (self._cell(heading, value(row)) for heading, value in columns)
            table.add_row(*cells, Text(trend))
        if rows:
            table.move_cursor(row=min(cursor, table.row_count - 1), animate=False, scroll=False)
            table.scroll_to(y=top, animate=False)

    def action_pause(self) -> None:
        self._paused = not self._paused
        self._show()

    def action_sort(self) -> None:
        self._sort = self._sort + 1 if self._sort + 1 < len(BACKENDS) else -1
        # Words are sorted upwards, numbers downwards: the largest come first.
        self._reverse = self._sort in range(3, 10)
        self._show()

    def action_reverse(self) -> None:
        self._reverse = not self._reverse
        self._show()

    def on_unmount(self) -> None:
        with contextlib.suppress(OSError):
            if self._client is not None:
                self._client.close()


def _order(value: Any) -> tuple[bool, Any]:
    """Sorts numbers before words, so that any two values can be compared."""
    number = isinstance(value, (int, float))
    return (not number, value if number else str(value))
