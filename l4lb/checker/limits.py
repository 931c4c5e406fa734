"""What one check may cost: every bound in time and bytes, whatever its target does.

A check has its own `timeout` besides. Whoever waits gives way to all other checks.
"""

from __future__ import annotations

# ---- streams: tcp, tls, http, https, agents

READ_BYTES = 16 << 10  # one read
WIRE_BYTES_MAX = 1 << 20  # that one check reads in all, with what TLS and framing add
HANDSHAKE_BYTES_MAX = 256 << 10  # of a TLS handshake that are read; chains of certificates fit
ANSWER_BYTES_MAX = 64 << 10  # that are looked at: of a body, of what comes in one step
PAUSE_SHARE = 0.02  # before the next read, of the time the check has taken: so reads are few
SHOWN_CHARS = 60  # of an answer that is not the expected one

FINISH_S = 0.5  # for the orderly end of a connection, after the outcome is known
FIN_AFTER_S = 0.05  # of these: for the peer to end first, so that it has the TIME_WAIT
FINISH_BYTES_MAX = 64 << 10  # of the rest of an answer that are read for it

# ---- http

HEAD_BYTES_MAX = 16 << 10  # of an answer's headers, those of answers with 1xx before it included
LINE_BYTES_MAX = 1 << 10  # of the line before a chunk; of an agent's answer

# ---- udp, dns

DATAGRAM_BYTES_MAX = 64 << 10  # one read
DATAGRAMS_MAX = 64  # that are looked at until one is the answer
ICMP_WAIT_S = 0.2  # how long an ICMP error may take where no reply is required

# ---- exec, alerts

OUTPUT_BYTES_MAX = 64 << 20  # that a program may print; one that prints more is killed
OUTPUT_READ_BYTES = 64 << 10  # one read: as much as a pipe holds
OUTPUT_KEPT_BYTES = 4 << 10  # of them that are kept
OUTPUT_PAUSE_S = 0.001  # between two reads of what it prints
GONE_S = 10.0  # how long the next check waits for a program that cannot be killed
