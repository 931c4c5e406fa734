"""The log writer: a process that takes ended sessions from the table and writes a line each."""
