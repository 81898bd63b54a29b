"""The heap of a process on a CPU, and its smallest numbers."""

import platform
import subprocess
import sys

import pytest

from genlib.runtime import host
from tests.conftest import PROJECT

PROGRAM = """
import resource, sys
from genlib.runtime.host import keep_freed_memory

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
        monkeypatch.setattr(host.ctypes, "CDLL", absent)
        host.keep_freed_memory()


PRODUCTS = """
import torch
from genlib.runtime.host import denormals_flushed

def products():  # of enough numbers for all threads
    return int((torch.full((1_000_000,), 1e-30) * 1e-10).count_nonzero())

if {before}:
    print(products())
with denormals_flushed():
    print(products())
print(float(torch.tensor(1e-30) * 1e-10) > 0)
"""


def test_numbers_below_the_normal_ones_are_zero_on_all_threads() -> None:
    found = [
        subprocess.run(
            [sys.executable, "-c", PRODUCTS.format(before=before)], capture_output=True, text=True, check=True
        )
        for before in (False, True)
    ]
    assert found[0].stdout.split() == ["0", "True"]
    assert found[1].stdout.split()[0] == "1000000"  # else the processor knows no such numbers, and this shows nothing


TRAINING = """
import torch
from genlib.config.load import load_config
from genlib.training import train

def prepare(data):
    raise SystemExit(f"{float(torch.tensor(1e-30) * 1e-10)}")

train.prepare = prepare
train.train(load_config("configs/vae_digits.yaml"))
"""


def test_a_training_computes_so_before_it_has_its_data() -> None:
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True, cwd=PROJECT)
    assert done.stderr.split() == ["0.0"]
