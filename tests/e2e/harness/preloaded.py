"""The installed program with its modules loaded: forks a process for each start that is asked for.

Most of a start's work is loading modules, the same ones each time. This program runs by itself (not
as a part of the tests) in the Python of the installed program: `preloaded.py FD SCRIPT`. It reads
starts from the socket FD: JSON with `args`, `cwd`, `environ` and `files` (limit of open files or
null), with four descriptors: standard input, output, error, and a socket on which it writes the
process's id, a line, and later its wait status, a line. It ends with the tests.

The forked process is as the installed script starts it: same arguments, environment, folder,
descriptors and session. tests/e2e/processes/test_preloaded.py compares the two.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import selectors
import socket
import sys

REQUEST_MAX = 1 << 18
CONFIG = """
[listeners.web]
bind = ["127.0.0.1:1"]
pool = "web"
[pools.web]
backends = ["127.0.0.1:2"]
"""


def load() -> None:
    """Loads what `l4lb run` loads, and builds the model of the configuration."""
    import setproctitle

    from l4lb.config.reading import parse

    parse.loads(CONFIG, "")
    setproctitle.getproctitle()  # finds the room for titles, which must be done before the fork
    gc.collect()
    gc.freeze()


def become(script: str, start: dict[str, object], given: list[int]) -> None:
    """Makes this process what the installed script would be, with its command line in sys.argv."""
    os.setsid()
    for number, fd in enumerate(given[:3]):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(str(start["cwd"]))
    environ, args = start["environ"], start["args"]
    assert isinstance(environ, dict)
    assert isinstance(args, list)
    os.environ.clear()
    os.environ.update(environ)
    if isinstance(start["files"], int):
        resource.setrlimit(resource.RLIMIT_NOFILE, (start["files"], start["files"]))
    sys.argv = [script, *args]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path[0] = os.path.dirname(script)


def serve(control: socket.socket, script: str) -> None:
    """Forks a process for each start. Returns in each of them, and raises SystemExit when the tests
    have ended."""
    waiting = selectors.DefaultSelector()
    waiting.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not control:
                pid, report = key.data
                _, status = os.waitpid(pid, 0)
                waiting.unregister(key.fd)
                os.close(key.fd)
                with report:
                    report.send(b"%d\n" % status)
                continue
            told, given, _, _ = socket.recv_fds(control, REQUEST_MAX, 4)
            if not told:
                raise SystemExit
            pid = os.fork()
            if not pid:
                # An object that closed its descriptor later would close another file's.
                for open_now in waiting.get_map().values():
                    if open_now.data:
                        open_now.data[1].close()
                waiting.close()
                control.close()
                become(script, json.loads(told), given)
                return
            report = socket.socket(fileno=given.pop())
            for fd in given:
                os.close(fd)
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, report))
            report.send(b"%d\n" % pid)


if __name__ == "__main__":
    sys.path[0] = os.path.dirname(sys.argv[2])  # as for the script; here are modules of the tests
    load()
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
    from l4lb.cli.main import main

    sys.exit(main())
