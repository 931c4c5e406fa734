"""bench/RESULTS.md: one section for each benchmark, between marks with its name."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "RESULTS.md"


def record(name: str, text: str, *, title: str = "") -> None:
    """Replaces the section's text. A new section comes last, under its title."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    known = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    if begin not in known:
        heading = f"## {title}\n\n" if title else ""
        known += f"\n{heading}{begin}\n{end}\n"
    before, _, rest = known.partition(begin)
    after = rest.partition(end)[2]
    RESULTS.write_text(f"{before}{begin}\n{text}\n{end}{after}")
