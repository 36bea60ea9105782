"""Memory that is kept: results stay, page faults go."""

import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, sys
from Agg2ExpLib.system.allocator import keep_freed_memory
took = keep_freed_memory() if sys.argv[1] == "keep" else True
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
for _ in range(10):
    block = libc.malloc(40 << 20)
    ctypes.memset(block, 1, 40 << 20)
    libc.free(block)
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has these settings")
def test_freed_memory_is_reused():
    faults = {}
    for how in ("keep", "plain"):
        done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True, timeout=60)
        took, count = done.stdout.split()
        if took == "False":
            pytest.skip("the C library is not glibc")
        faults[how] = int(count)
    assert faults["keep"] < faults["plain"] / 2
