"""The cost of one check: every limit in time and bytes, whatever its target does.

In addition a check has its own `timeout`. A check that waits lets all other checks run.
"""

from __future__ import annotations

# ---- streams: tcp, tls, http, https, agents

READ_BYTES = 16 << 10  # one read
WIRE_BYTES_MAX = 1 << 20  # read by one check in total, with the overhead of TLS and framing
HANDSHAKE_BYTES_MAX = 256 << 10  # of a TLS handshake; chains of certificates fit
ANSWER_BYTES_MAX = 64 << 10  # examined: of a body, or of the answer in one step
PAUSE_SHARE = 0.02  # pause before the next read, as a share of the check's time: so reads are few
SHOWN_CHARS = 60  # of an unexpected answer

FINISH_S = 0.5  # for closing a connection in order, after the result is known
FIN_AFTER_S = 0.05  # of FINISH_S: for the peer to close first, so that it has the TIME_WAIT
FINISH_BYTES_MAX = 64 << 10  # of the rest of an answer, read while closing

# ---- http

HEAD_BYTES_MAX = 16 << 10  # of an answer's headers, with those of 1xx answers before it
LINE_BYTES_MAX = 1 << 10  # of the line before a chunk; of an agent's answer

# ---- udp, dns

DATAGRAM_BYTES_MAX = 64 << 10  # one read
DATAGRAMS_MAX = 64  # examined until one is the answer
ICMP_WAIT_S = 0.2  # time for an ICMP error if no reply is required

# ---- exec, alerts

OUTPUT_BYTES_MAX = 64 << 20  # printed by a program; one that prints more is killed
OUTPUT_READ_BYTES = 64 << 10  # one read: the size of a pipe
OUTPUT_KEPT_BYTES = 4 << 10  # kept of the output
OUTPUT_PAUSE_S = 0.001  # between two reads of the output
GONE_S = 10.0  # how long the next check waits for a program that cannot be killed
