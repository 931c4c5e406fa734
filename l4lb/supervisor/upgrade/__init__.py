"""Another program for a service that runs: both sides, and what goes from one to the other."""
