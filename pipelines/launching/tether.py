"""`python tether.py PARENT COMMAND...` becomes COMMAND, which is sent SIGTERM when process PARENT dies (Linux).

A program of its own, because the kernel's setting must be made between fork and exec, where a process with threads
can safely run no Python.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != int(sys.argv[1]):  # it died before the setting was made
            sys.exit(128 + signal.SIGTERM)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - to become another program is the purpose
