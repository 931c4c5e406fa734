"""The control process: answers operators over the admin socket, asks the supervisor for changes."""
