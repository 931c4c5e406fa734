"""Who asks: the admin socket, its protocol and client, and HTTP with the dashboard."""
