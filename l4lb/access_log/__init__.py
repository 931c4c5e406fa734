"""The log writer: a process that takes ended sessions from the shared table and writes a line for
each."""
