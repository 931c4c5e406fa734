"""Looks host names up, as a program of its own, so that a look-up can be given up at any time.

getaddrinfo has no time limit and cannot be interrupted, and the supervisor cannot have threads
because it forks. Names come in as a JSON array. Each answer is written as soon as it is known, as a
line `[name, [addresses], error or null]`. It uses only the standard library, because it runs
isolated.
"""

import concurrent.futures
import json
import os
import socket
import sys

AT_ONCE = 32


def lookup(name: str) -> tuple[str, list[str], str | None]:
    """Returns the addresses of a name, IPv4 first, or why there are none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return name, [], reason
    found.sort(key=lambda one: one[0] != socket.AF_INET)  # a stable sort keeps the rest in order
    return name, [str(one[4][0]) for one in found], None


def main() -> None:
    """Reads names from standard input and writes answers to standard output."""
    names = json.load(sys.stdin)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for answer in concurrent.futures.as_completed([pool.submit(lookup, one) for one in names]):
            sys.stdout.write(json.dumps(answer.result()) + "\n")
            sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
