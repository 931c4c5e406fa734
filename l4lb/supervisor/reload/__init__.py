"""Another configuration for a service that runs: read, compared, installed, or taken back."""
