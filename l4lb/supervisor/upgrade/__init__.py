"""Upgrade (hot restart): another program takes over a running service. Both sides, and the state
that goes from one to the other."""
