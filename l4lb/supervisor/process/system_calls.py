"""The system calls that workers and the processes beside them may make, as data. seccomp.py puts
the lists in force; the tests read them too.

A list consists of rules by name. A rule may hold only for certain arguments. A rule may let the
call fail instead of allowing it. A call that no rule names ends the process, or fails where the
list says so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import termios
from collections.abc import Sequence
from typing import NamedTuple

WHOLE = 0xFFFF_FFFF  # the bits of an int; the register's upper half is ignored
ADDRESS = 0xFFFF_FFFF_FFFF_FFFF
NEWEST = 450  # set_mempolicy_home_node, Linux 5.17: the last call considered for these lists
LATER = 64  # number of later calls that fail with ENOSYS, as in a kernel without them

# linux/sched.h
CLONE_THREAD = 0x0001_0000
CLONE_NEW = (
    0x0002_0000,  # NS
    0x0200_0000,  # CGROUP
    0x0400_0000,  # UTS
    0x0800_0000,  # IPC
    0x1000_0000,  # USER
    0x2000_0000,  # PID
    0x4000_0000,  # NET
)
PROT_EXEC = 4  # asm-generic/mman-common.h
PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_VMA = 4, 15, 0x53564D41  # linux/prctl.h
SIOCOUTQ = 0x5411  # linux/sockios.h
OWN_PID = -1  # stands for the process's own pid
NO_WRITES = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC


class Only(NamedTuple):
    """A condition on an argument (counted from 0): its bits in mask equal value."""

    argument: int
    mask: int
    value: int


class Rule(NamedTuple):
    """A rule for one call. only: all of these conditions must hold. error: the errno with which the
    call fails; 0: it is allowed."""

    call: str
    only: tuple[Only, ...] = ()
    error: int = 0


class Calls(NamedTuple):
    """The rules for one kind of process. error: the errno with which all other calls fail; None:
    they end the process; 0: they are allowed."""

    rules: Sequence[Rule]
    error: int | None = None


def _allowed(*names: str) -> tuple[Rule, ...]:
    return tuple(Rule(name) for name in names)


def _failing(error: int, *names: str) -> tuple[Rule, ...]:
    return tuple(Rule(name, error=error) for name in names)


def _if(call: str, argument: int, *values: int, mask: int = WHOLE) -> tuple[Rule, ...]:
    """Allows a call if the argument has one of these values."""
    return tuple(Rule(call, (Only(argument, mask, value),)) for value in values)


# Calls of the C library and of Python: memory, time, signals, facts about the process itself.
_PROCESS = (
    *_allowed(
        "brk", "munmap", "mremap", "madvise", "futex", "membarrier", "rseq", "set_robust_list",
        "get_robust_list", "arch_prctl",
        "clock_gettime", "clock_getres", "clock_nanosleep", "gettimeofday", "nanosleep", "time",
        "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
        "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getgroups",
        "getresuid", "getresgid", "getcwd", "uname", "sysinfo", "getrandom", "getrusage",
        "getrlimit", "sched_yield", "sched_getaffinity", "getcpu",
        "exit", "exit_group",
    ),
    *_if("sched_setaffinity", 0, 0),  # only for itself
    *_if("prlimit64", 2, 0, mask=ADDRESS),  # only to read limits
    *_if("tgkill", 0, OWN_PID),
    *_if("prctl", 0, PR_SET_NAME, PR_SET_VMA),
)  # fmt: skip

# Descriptors. Files can only be read.
_FILES = (
    *_allowed(
        "read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "lseek", "close",
        "close_range", "dup", "dup2", "dup3", "pipe2", "splice", "eventfd2",
        "fstat", "newfstatat", "stat", "lstat", "statx", "statfs", "fstatfs", "access", "faccessat",
        "faccessat2", "readlink", "readlinkat", "getdents64", "fadvise64",
        "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "poll", "ppoll",
    ),
    # why: F_SETOWN and F_SETSIG are missing because they could send signals to others.
    *_if(
        "fcntl", 1, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD,
        fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_GETPIPE_SZ, fcntl.F_SETPIPE_SZ, fcntl.F_ADD_SEALS,
        fcntl.F_GET_SEALS,
    ),
    *_if("openat", 2, 0, mask=NO_WRITES),
    *_if("open", 1, 0, mask=NO_WRITES),
    *_if(
        "ioctl", 1, SIOCOUTQ, termios.FIONREAD, termios.FIONBIO, termios.FIOCLEX, termios.TCGETS,
        termios.TIOCGWINSZ,
    ),
)  # fmt: skip

_SOCKETS = (
    *_allowed(
        "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
        "setsockopt", "shutdown", "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg",
        "sendmmsg",
    ),
    *_if("socket", 0, socket.AF_UNIX, socket.AF_INET, socket.AF_INET6),
)  # fmt: skip

# Calls that a library may try, and does without on older kernels.
_NOT_THERE = _failing(errno.ENOSYS, "clone3", "openat2", "epoll_pwait2", "futex_waitv")

WORKER = Calls(
    (
        *_PROCESS,
        *_FILES,
        *_SOCKETS,
        *_NOT_THERE,
        *_if("mmap", 2, 0, mask=PROT_EXEC),
        *_if("mprotect", 2, 0, mask=PROT_EXEC),
        # why: a worker with a private key hides its memory from other processes.
        Rule("prctl", (Only(0, WHOLE, PR_SET_DUMPABLE), Only(1, ADDRESS, 0))),
    )
)

# A worker that hands UDP sessions over to the kernel also reads and writes a map of the kernel. It
# gets the map from its parent: it can make none, load nothing, and find no other.
BPF_MAP_LOOKUP, BPF_MAP_UPDATE, BPF_MAP_DELETE, BPF_MAP_TAKE = 1, 2, 3, 21  # linux/bpf.h
_MAPS = _if("bpf", 0, BPF_MAP_LOOKUP, BPF_MAP_UPDATE, BPF_MAP_DELETE, BPF_MAP_TAKE)


def of_maps(worker: Calls) -> Calls:
    """Returns the rules of a worker that has a map of the kernel."""
    return worker._replace(rules=(*worker.rules, *_MAPS))


# A worker whose caches have folders also writes files there. Landlock (landlock.py) keeps it from
# writing elsewhere; this list keeps it from opening files in another way than caches do.
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
WORKER_OF_FILES = Calls(
    (
        *WORKER.rules,
        *_allowed("sendfile", "utimensat", "renameat", "renameat2"),
        *_if("unlinkat", 2, 0),  # no folders
        *_if("openat", 2, NEW_FILE, mask=WHOLE),
    )
)

# why: Python tries to write compiled modules to files, and does without.
_NO_FILES = (
    *_failing(errno.EACCES, "mkdir", "rename", "renameat", "renameat2", "unlink"),
    *(
        Rule(call, (Only(argument, bits, value),), errno.EACCES)
        for call, argument in (("openat", 2), ("open", 1))
        for bits, value in (
            (os.O_ACCMODE, os.O_WRONLY), (os.O_ACCMODE, os.O_RDWR),
            (os.O_CREAT, os.O_CREAT), (os.O_TRUNC, os.O_TRUNC),
        )
    ),
)  # fmt: skip

# The keeper removes files in the folders of caches, and makes what is missing of their folders.
# Landlock keeps it from doing so elsewhere. It opens no file to write, and no socket.
KEEPER = Calls(
    (
        *_PROCESS,
        *_FILES,
        *_NOT_THERE,
        *_NO_FILES,
        *_allowed("recvfrom", "recvmsg", "sendto", "sendmsg", "mkdirat"),
        *_if("mmap", 2, 0, mask=PROT_EXEC),
        *_if("mprotect", 2, 0, mask=PROT_EXEC),
        *_if("unlinkat", 2, 0),  # no folders
        *_if("kill", 1, 0),  # asks whether a writer still runs
    )
)

# The recorder writes folders with files into the folders of records, and removes the oldest.
# Landlock keeps it from doing so elsewhere. It opens no socket.
RECORDER = Calls(
    (
        *_PROCESS,
        *_FILES,
        *_NOT_THERE,
        *_allowed(
            "recvfrom", "recvmsg", "sendto", "sendmsg", "mkdirat", "unlinkat", "renameat",
            "renameat2", "fchmod",
        ),
        *_if("kill", 1, 0),  # asks whether a recorder still runs
        *_if("openat", 2, NEW_FILE | os.O_NOCTTY | os.O_NONBLOCK, mask=WHOLE),
        *_if("mmap", 2, 0, mask=PROT_EXEC),
        *_if("mprotect", 2, 0, mask=PROT_EXEC),
    )
)  # fmt: skip

# Modules and libraries are loaded at first use, and name look-ups run in threads.
CHECKER = Calls(
    (
        *_PROCESS,
        *_FILES,
        *_SOCKETS,
        *_NOT_THERE,
        *_allowed("mmap", "mprotect", "socketpair", "timerfd_create", "timerfd_settime"),
        *_if("socket", 0, socket.AF_NETLINK),
        *_if("clone", 0, CLONE_THREAD, mask=CLONE_THREAD | sum(CLONE_NEW)),
        *_NO_FILES,
        *_failing(errno.EACCES, "mkdirat", "unlinkat"),
    )
)

# The policy process looks names up as the checker does, and makes memory for lists of domains.
POLICY = Calls((*CHECKER.rules, *_allowed("memfd_create", "ftruncate")))

# The packet process reads and writes maps of the kernel's program: linux/bpf.h, enum bpf_cmd.
BPF_LOOK_UP, BPF_UPDATE, BPF_DELETE, BPF_INFO, BPF_LOOK_UP_BATCH = 1, 2, 3, 15, 24
PACKET = Calls(
    (
        *_PROCESS,
        *_FILES,
        *_NOT_THERE,
        *_NO_FILES,
        *_allowed("recvfrom", "recvmsg", "sendto", "sendmsg", "epoll_create1", "epoll_ctl"),
        *_if("bpf", 0, BPF_LOOK_UP, BPF_UPDATE, BPF_DELETE, BPF_INFO, BPF_LOOK_UP_BATCH),
        *_if("mmap", 2, 0, mask=PROT_EXEC),
        *_if("mprotect", 2, 0, mask=PROT_EXEC),
    )
)

# The rules of a checker that runs programs (exec checks, alerts). The programs inherit them for
# good, and their needs are unknown. Only calls that no check needs fail.
CHECKER_OF_PROGRAMS = Calls(
    (
        *_failing(
            errno.EPERM,
            # other processes
            "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd",
            "kcmp",
            # mounts, roots and namespaces
            "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
            "fsconfig", "fsmount", "fspick", "mount_setattr", "unshare", "setns",
            "open_by_handle_at", "quotactl", "quotactl_fd", "swapon", "swapoff",
            # the kernel
            "bpf", "perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load",
            "init_module", "finit_module", "delete_module", "reboot", "acct", "syslog",
            "lookup_dcookie", "fanotify_init", "io_uring_setup", "io_uring_enter",
            "io_uring_register", "iopl", "ioperm", "modify_ldt", "vhangup",
            # its keys, clock and name
            "add_key", "request_key", "keyctl", "settimeofday", "clock_settime", "clock_adjtime",
            "adjtimex", "sethostname", "setdomainname",
        ),
        *(Rule("clone", (Only(0, one, one),), errno.EPERM) for one in CLONE_NEW),
        *_failing(errno.ENOSYS, "clone3"),  # a filter cannot read its flags
    ),
    error=0,
)  # fmt: skip
