"""The tls check: a handshake, the verification of the certificate (unless it is off), and the steps
of a tcp check over TLS."""

from __future__ import annotations

import time

from l4lb.checker.stream import Tls, open_tls
from l4lb.checker.tcp import Conversation
from l4lb.checker.types import Attempt, Outcome, ProbeError, Settings, Target
from l4lb.native.results import Result

DAY_S = 86_400


def certificate_end_s(wire: Tls) -> int:
    """Returns the expiry of the target's certificate; 0: it cannot be read."""
    from cryptography import x509  # why here: it is large, and only these checks need it

    try:
        return int(
            x509.load_der_x509_certificate(wire.certificate or b"").not_valid_after_utc.timestamp()
        )
    except ValueError:
        return 0


def said_of_end(end_s: int, now_s: float) -> str:
    days = int((end_s - now_s) // DAY_S)
    if days < 0:
        return f"certificate ended {-days} days ago"
    return f"certificate valid for {days} days"


async def probe(target: Target, settings: Settings, attempt: Attempt) -> Outcome:
    """Makes the handshake and the steps, and finds how long the certificate is still valid."""
    wire = await open_tls(target, settings, attempt)
    end_s = certificate_end_s(wire)
    words = [wire.version]
    if end_s:
        words.append(said_of_end(end_s, time.time()))
    try:
        if settings.all_steps():
            words.append(await Conversation(wire, settings, attempt).run())
    except ProbeError as error:
        raise error.with_end(end_s) from error
    return Outcome(Result.OK, 0, ", ".join(words), 0, end_s)
