"""A shell on a terminal, as somebody types into it."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

# How long a shell may take to show what is waited for.
PATIENCE = 30

# What a shell says before a line is typed.
PROMPT = "READY> "

# What a terminal does not show: colours, movements, titles, modes.
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()=>][0-9A-B]?|.)")


class Terminal:
    """A program on a terminal that is wide enough for one candidate a line."""

    def __init__(self, program, environment):
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.execvpe(program[0], program, environment)
        size = struct.pack("HHHH", 200, 160, 0, 0)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)
        self.count = 0
        self.until("^")

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.child, 0)

    def run(self, command):
        """Runs a command, and gives what was shown until its end."""
        self.count += 1
        # What is typed is shown, too, and must not be taken for what it prints.
        os.write(self.terminal, f"{command}\recho E''ND-{self.count}\r".encode())
        # At the beginning of a line: within one it is what was typed.
        return self.until(rf"[\r\n]END-{self.count}[\r\n]")

    def completes(self, line):
        """Types a line and the tab, and gives the lines that were shown below it."""
        # Control-U takes back what is on the line.
        shown = self.run(f"{line}\t\x15").split("\n")
        return [line for line in shown[1:-2] if PROMPT.strip() not in line]

    def finishes(self, line, whole):
        """Requires that the tab makes a whole line of the one that was typed."""
        shown = self.run(f"{line}\t\x15")
        if not re.search(rf"{whole}\b", shown):
            raise AssertionError(f"{line} is not finished: {shown!r}")

    def until(self, end):
        """Gives what was shown until this and the prompt after it: what is typed before that is not yet the shell's."""
        shown, deadline = "", time.monotonic() + PATIENCE
        while not re.search(f"{end}[^>]*{re.escape(PROMPT)}", shown):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"no {end} in {PATIENCE} s: {shown!r}")
            shown += ESCAPES.sub("", os.read(self.terminal, 65536).decode(errors="replace"))
        return re.sub(r"[\r\n]+", "\n", shown)
