"""The supervisor's process and its children: event loop, forks, rights, service manager."""
