"""The shield: the kernel turns clients away before a worker sees them (docs/packet.md)."""
