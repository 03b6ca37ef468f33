"""Runs a command and kills it, with all processes it started, when standard input closes.

A test that is killed cannot clean up after itself, but the kernel closes its end of the pipe.
If $LEASH_FIRST names a signal, the command gets it first and has 10 seconds to end by itself.
The directory $LEASH_REMOVE is removed at the end.
"""

import os
import shutil
import signal
import subprocess
import sys

child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
sys.stdin.buffer.read()
if first := os.environ.get("LEASH_FIRST"):
    child.send_signal(signal.Signals[first])
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        pass
try:
    os.killpg(child.pid, signal.SIGKILL)
except ProcessLookupError:
    pass
child.wait()
if directory := os.environ.get("LEASH_REMOVE"):
    shutil.rmtree(directory, ignore_errors=True)
