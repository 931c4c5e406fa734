"""Builds what is C: csrc/ into one static library, the Cython doors of l4lb/native over it, and the
load generator of bench/. Everything else about the package is in pyproject.toml.

L4LB_WERROR=1 turns warnings into errors, as CI does. L4LB_SANITIZE=address builds with
AddressSanitizer and UndefinedBehaviorSanitizer in a folder of its own; the program then needs
libasan preloaded.
"""

from __future__ import annotations

import os
import platform
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FLOORS = ("base", "shm", "core", "io", "run")
SOURCES = sorted(path for floor in FLOORS for path in glob(f"csrc/{floor}/*.c"))
HEADERS = sorted(path for floor in FLOORS for path in glob(f"csrc/{floor}/*.h"))
LOADGEN = sorted(glob("bench/loadgen/*.c"))
SANITIZED = os.environ.get("L4LB_SANITIZE") == "address"
# why not with sanitizers: what they add makes the compiler warn of what is not there.
ERRORS = ["-Werror"] if os.environ.get("L4LB_WERROR") and not SANITIZED else []
WARNINGS = ["-Wall", "-Wextra", *ERRORS]
SANITIZE = (
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    if SANITIZED
    else []
)
# Walls against a fault in memory handling: canaries, checked copies, tables that are read-only once
# the program is linked; on x86 jumps and returns that land where they should (CET).
HARDENING = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
if platform.machine() == "x86_64":
    HARDENING.append("-fcf-protection=full")
LINK_HARDENING = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]
# why not with sanitizers: they check more, and by other means.
GUARDS = SANITIZE or HARDENING
FLAGS = ["-std=c11", "-O1" if SANITIZED else "-O2", "-g", *WARNINGS, *GUARDS]
LIBRARY_FLAGS = [*FLAGS, "-fPIC", "-fvisibility=hidden"]
MACROS = [("_GNU_SOURCE", None)]


class build_c(build_ext):  # noqa: N801 - setuptools' own spelling
    """build_ext that first compiles csrc/ once, for all extensions."""

    def build_extensions(self) -> None:
        folder = Path(self.build_temp)
        objects = self.compiler.compile(
            SOURCES,
            output_dir=str(folder),
            include_dirs=["csrc"],
            macros=MACROS,
            extra_postargs=LIBRARY_FLAGS,
            depends=HEADERS,
        )
        self.compiler.create_static_lib(objects, "l4", output_dir=str(folder))
        for extension in self.extensions:
            extension.library_dirs.append(str(folder))
        super().build_extensions()
        if LOADGEN:
            self.build_loadgen(folder)

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


extensions = [
    Extension(
        f"l4lb.native.{Path(path).stem}",
        [path],
        include_dirs=["csrc"],
        define_macros=MACROS,
        libraries=["l4", "ssl", "crypto"],
        extra_link_args=["-Wl,--as-needed", *SANITIZE, *LINK_HARDENING],
        # Cython's own output is not ours to make clean of unused parameters.
        extra_compile_args=[*LIBRARY_FLAGS, "-Wno-unused-parameter"],
        depends=SOURCES + HEADERS + glob("l4lb/native/*.pxd"),
    )
    for path in sorted(glob("l4lb/native/*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions, build_dir="build/cython", compiler_directives={"language_level": "3"}
    ),
    cmdclass={"build_ext": build_c},
    options={"build": {"build_base": "build/sanitized"}} if SANITIZED else {},
)
