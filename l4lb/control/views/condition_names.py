"""The conditions of `wait` by name. This module needs no shared table: completion and documentation
use it."""

CONDITIONS = {
    "backend-drained": "the backend has no session",
    "backend-up": "the backend's health is up",
    "backend-down": "the backend's health is down",
    "backend-ejected": "passive health has ejected the backend",
    "sessions-below": "fewer than N clients are connected",
    "generation": "the configuration's generation is N or later",
}
