"""The servers of the control process: the admin socket with its protocol and client, and HTTP with
the dashboard."""
