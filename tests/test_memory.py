"""The heap of a process on a CPU."""

import platform
import subprocess
import sys

import pytest

from genlib import memory

PROGRAM = """
import resource, sys
from genlib.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        for megabytes in (5, 5, 40):
            bytearray(megabytes * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

default = faults()
keep_freed_memory()
faults()  # takes what is kept then
print(default, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other heaps")
def test_what_is_freed_is_taken_again_without_new_pages() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    default, kept = map(int, done.stdout.split())
    assert kept < default / 20


def test_another_c_library_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: object) -> object:
        raise OSError

    for absent in (no_library, lambda name: object()):
        monkeypatch.setattr(memory.ctypes, "CDLL", absent)
        memory.keep_freed_memory()
