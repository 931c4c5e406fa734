"""Some seconds of fuzzing for all targets; scripts/fuzz does it for longer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
NOTHING = "#include <stddef.h>\nint LLVMFuzzerTestOneInput(const char *data, size_t bytes);\n"
NOTHING += (
    "int LLVMFuzzerTestOneInput(const char *data, size_t bytes) { return data && bytes && 0; }"
)


def need_fuzzer(folder: Path) -> None:
    """Skips the test without a clang that has its fuzzer and sanitizers, a package of their own."""
    clang = shutil.which("clang") or shutil.which("clang-14")
    if not clang:
        pytest.skip("clang is not installed")
    flags = ["-fsanitize=fuzzer,address,undefined", "-xc", "-", "-o", str(folder / "nothing")]
    done = subprocess.run(
        [clang, *flags], input=NOTHING, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip("clang has no libFuzzer (Debian: libclang-rt-dev)")


def test_the_parsers_of_what_comes_from_outside_hold(tmp_path: Path) -> None:
    need_fuzzer(tmp_path)
    done = subprocess.run(
        [str(TOP / "scripts" / "fuzz"), "--quick", "1"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
