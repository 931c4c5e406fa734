"""[pools.NAME.quic]: how a pool's backends are named in QUIC connection ids."""

from __future__ import annotations

from l4lb.config import fields
from l4lb.config.tables.base import Model


class Quic(Model):
    """What backends put into the connection ids they choose: draft-ietf-quic-load-balancers, the
    plaintext scheme. Used with hash_key = "quic_cid"."""

    config_id: fields.QuicConfig = 0
    """The upper three bits of such an id's first octet."""
    server_id_length: fields.ServerIdLength = 1
    """Bytes of the server id, which is next."""
