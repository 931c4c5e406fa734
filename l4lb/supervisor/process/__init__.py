"""The supervisor's process and its children: the loop, forks, rights, the service manager."""
