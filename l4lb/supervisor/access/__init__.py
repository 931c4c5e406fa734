"""Access control by network: lists, run-time rules, blocks, and the sets into which they are
built."""
