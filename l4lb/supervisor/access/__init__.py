"""Which networks may come in: lists, run-time rules, blocks, and the sets they are built into."""
