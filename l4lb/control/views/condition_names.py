"""The conditions of `wait` by name, for whoever completes or documents them without the table."""

CONDITIONS = {
    "backend-drained": "the backend has no session",
    "backend-up": "its health is up",
    "backend-down": "its health is down",
    "backend-ejected": "clients failed on it so often that it gets none for a while",
    "sessions-below": "fewer than N clients are connected",
    "generation": "the configuration's generation is N or later",
}
