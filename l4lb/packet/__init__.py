"""Programs of the kernel: one that forwards packets (docs/packet.md), and the shield, which turns
clients away before a worker sees them (docs/shield.md)."""
