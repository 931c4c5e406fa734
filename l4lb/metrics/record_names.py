"""The names of the metrics of records, a part of the list in names.py."""

from __future__ import annotations

from l4lb.metrics.metric import Metric

RECORDS = (
    Metric(
        "l4lb_records_total",
        "counter",
        "Requests that a rule chose, by what became of them: kept; cut (kept, and something of them"
        " is missing); skipped (for the status of the answer); failed (they could not be written).",
        ("record", "result"),
    ),
    Metric("l4lb_record_bytes", "gauge", "Bytes of the files in the record's folder.", ("record",)),
    Metric(
        "l4lb_records_dropped_total",
        "counter",
        "Requests that a rule chose and that found no room on their way to the recorder.",
    ),
)
