"""The sockets that others connect to: they are opened, get options, and are drained before they
close."""
