"""[pools.NAME.quic]: server ids in QUIC connection ids."""

from __future__ import annotations

from typing import Annotated

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import whole


class Quic(Model):
    """Form of the connection ids that backends choose: draft-ietf-quic-load-balancers, the
    plaintext scheme. Used with hash_key = "quic_cid"."""

    config_id: Annotated[int, *whole(bounds.QUIC_CONFIG)] = 0
    """The upper three bits of the first octet of a connection id."""
    server_id_length: Annotated[int, *whole(bounds.SERVER_ID_LENGTH)] = 1
    """Length in bytes of the server id, which follows the first octet."""
