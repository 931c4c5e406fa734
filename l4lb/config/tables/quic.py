"""[pools.NAME.quic]: server ids in QUIC connection ids."""

from __future__ import annotations

from l4lb.config.tables.base import Model
from l4lb.config.values import common


class Quic(Model):
    """Form of the connection ids that backends choose: draft-ietf-quic-load-balancers, the
    plaintext scheme. Used with hash_key = "quic_cid"."""

    config_id: common.QuicConfig = 0
    """The upper three bits of the first octet of a connection id."""
    server_id_length: common.ServerIdLength = 1
    """Length in bytes of the server id, which follows the first octet."""
