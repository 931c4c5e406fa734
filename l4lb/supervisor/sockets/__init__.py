"""The sockets that others connect to: opened, given options, emptied before they close."""
