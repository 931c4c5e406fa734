"""Builds the C parts: csrc/ as one static library, the Cython modules of l4lb/native on top of it,
and the load generator of bench/. Everything else about the package is in pyproject.toml.

The programs of the kernel (csrc/packet) are only built where libbpf and clang are. The package is
whole without them, and says so when the configuration asks for them.

L4LB_WERROR=1 turns warnings into errors, as CI does. L4LB_SANITIZE=address builds with
AddressSanitizer and UndefinedBehaviorSanitizer in a folder of its own. The program then needs
libasan preloaded.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FLOORS = ("base", "shm", "core", "io", "cache", "http", "run")
SOURCES = sorted(path for floor in FLOORS for path in glob(f"csrc/{floor}/*.c"))
HEADERS = sorted(path for floor in FLOORS for path in glob(f"csrc/{floor}/*.h"))
LOADGEN = sorted(glob("bench/loadgen/*.c"))
PACKET = sorted(set(glob("csrc/packet/*.c")) - set(glob("csrc/packet/*.bpf.c")))
PACKET_HEADERS = glob("csrc/packet/*.h")
SANITIZED = os.environ.get("L4LB_SANITIZE") == "address"
# why not with sanitizers: their instrumentation causes false warnings.
ERRORS = ["-Werror"] if os.environ.get("L4LB_WERROR") and not SANITIZED else []
WARNINGS = ["-Wall", "-Wextra", *ERRORS]
SANITIZE = (
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    if SANITIZED
    else []
)
# Hardening against memory faults: stack canaries, checked copies, tables that are read-only after
# linking; on x86, control-flow enforcement (CET).
HARDENING = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
if platform.machine() == "x86_64":
    HARDENING.append("-fcf-protection=full")
LINK_HARDENING = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]
# why not with sanitizers: they check more than these options, in other ways.
GUARDS = SANITIZE or HARDENING
FLAGS = ["-std=c11", "-O1" if SANITIZED else "-O2", "-g", *WARNINGS, *GUARDS]
LIBRARY_FLAGS = [*FLAGS, "-fPIC", "-fvisibility=hidden"]
# csrc/ is optimised as a whole where the workers' loop is linked: a request then takes 3 % less
# processor time. The other modules link the same objects as ordinary ones.
WHOLE = [] if SANITIZED else ["-flto", "-ffat-lto-objects"]
LINK_WHOLE = [] if SANITIZED else ["-flto=auto", "-O2"]
MACROS = [("_GNU_SOURCE", None)]
# why no headers of a libc: the kernel's program has none, and Debian's clang finds none for it.
BPF_FLAGS = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-ffreestanding", *WARNINGS]
PROCESSORS = len(os.sched_getaffinity(0))


def has_headers(compiler: list[str], *names: str) -> bool:
    """Returns whether the compiler finds all these headers."""
    source = "".join(f"#include <{name}>\n" for name in names)
    made = subprocess.run(
        [*compiler, "-E", "-x", "c", "-"], input=source.encode(), capture_output=True, check=False
    )
    return made.returncode == 0


def has_libbpf() -> bool:
    """Returns whether the shield's loader can be built."""
    compiler = shutil.which("cc")
    return compiler is not None and has_headers([compiler], "bpf/libbpf.h", "bpf/bpf.h")


def bpf_compiler() -> list[str] | None:
    """Returns clang with all that it needs for the kernel's programs; None: it is not there."""
    clang = shutil.which("clang")
    if clang is None:
        return None
    # The kernel's headers of one machine are in a folder of its own on Debian.
    found = subprocess.run([clang, "-print-multiarch"], capture_output=True, text=True, check=False)
    folders = {found.stdout.strip(), f"{platform.machine()}-linux-gnu"} - {""}
    includes = [f"-I/usr/include/{name}" for name in sorted(folders)]
    compiler = [clang, *BPF_FLAGS, *includes]
    return compiler if has_headers(compiler, "bpf/bpf_helpers.h", "linux/pkt_cls.h") else None


class build_c(build_ext):  # noqa: N801 - setuptools' own spelling
    """build_ext that first compiles csrc/ once, for all extensions. It uses all processors."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or PROCESSORS

    def compile_library(self, folder: Path, sources: list[str]) -> list[str]:
        """Returns the objects of these sources of csrc/."""

        def compile_one(source: str) -> list[str]:
            return self.compiler.compile(
                [source],
                output_dir=str(folder),
                include_dirs=["csrc"],
                macros=MACROS,
                extra_postargs=[*LIBRARY_FLAGS, *WHOLE],
                depends=HEADERS + PACKET_HEADERS,
            )

        with ThreadPoolExecutor(self.parallel) as pool:
            return [one for found in pool.map(compile_one, sources) for one in found]

    def build_extensions(self) -> None:
        folder = Path(self.build_temp)
        objects = self.compile_library(folder, SOURCES)
        # why: ar would keep the objects of sources that are gone or renamed, and link them first.
        (folder / "libl4.a").unlink(missing_ok=True)
        self.compiler.create_static_lib(objects, "l4", output_dir=str(folder))
        for extension in self.extensions:
            extension.library_dirs.append(str(folder))
        if HAS_LIBBPF:
            loaders = self.compile_library(folder, PACKET)
            for extension in self.extensions:
                if extension.name in LOADERS:
                    extension.extra_objects += loaders
        super().build_extensions()
        if HAS_LIBBPF:
            self.build_programs()
        if LOADGEN:
            self.build_loadgen(folder)

    def build_programs(self) -> None:
        """A program of the kernel is an object file beside the Python that loads it."""
        compiler = bpf_compiler()
        target = Path("l4lb" if self.inplace else f"{self.build_lib}/l4lb") / "packet"
        target.mkdir(parents=True, exist_ok=True)
        for source in glob("csrc/packet/*.bpf.c"):
            made = target / f"{Path(source).stem}.o"
            made.unlink(missing_ok=True)  # why: an old one would not fit the loader
            if compiler:
                subprocess.run([*compiler, "-Icsrc", "-c", source, "-o", str(made)], check=True)

    def build_loadgen(self, folder: Path) -> None:
        """The load generator is a program of its own beside the package's Python."""
        objects = self.compiler.compile(
            LOADGEN,
            output_dir=str(folder),
            include_dirs=["bench/loadgen"],
            macros=MACROS,
            extra_postargs=FLAGS,
            depends=glob("bench/loadgen/*.h"),
        )
        target = Path("l4lb" if self.inplace else f"{self.build_lib}/l4lb") / "bin"
        target.mkdir(parents=True, exist_ok=True)
        self.compiler.link_executable(
            objects,
            "l4lb-loadgen",
            output_dir=str(target),
            libraries=["m", "pthread", "ssl", "crypto"],
            extra_postargs=[*SANITIZE, *LINK_HARDENING],
        )


HAS_LIBBPF = has_libbpf()
LOADERS = {f"l4lb.native.{name}" for name in ("bpf", "forward", "packet")}  # they need libbpf
MODULES = [
    path
    for path in sorted(glob("l4lb/native/*.pyx"))
    if HAS_LIBBPF or f"l4lb.native.{Path(path).stem}" not in LOADERS
]

extensions = [
    Extension(
        f"l4lb.native.{Path(path).stem}",
        [path],
        include_dirs=["csrc"],
        define_macros=MACROS,
        libraries=[
            *("l4", "ssl", "crypto", "nghttp2"),
            *(["bpf"] if f"l4lb.native.{Path(path).stem}" in LOADERS else []),
        ],
        extra_link_args=[
            "-Wl,--as-needed",
            *SANITIZE,
            *LINK_HARDENING,
            *(LINK_WHOLE if Path(path).stem == "loop" else []),
        ],
        # why: code generated by Cython has unused parameters.
        extra_compile_args=[*LIBRARY_FLAGS, "-Wno-unused-parameter"],
        depends=SOURCES
        + HEADERS
        + (PACKET + PACKET_HEADERS if f"l4lb.native.{Path(path).stem}" in LOADERS else [])
        + glob("l4lb/native/**/*.pxd", recursive=True),
    )
    for path in MODULES
]

setup(
    ext_modules=cythonize(
        extensions,
        nthreads=PROCESSORS,
        build_dir="build/cython",
        compiler_directives={"language_level": "3"},
    ),
    cmdclass={"build_ext": build_c},
    options={"build": {"build_base": "build/sanitized"}} if SANITIZED else {},
)
