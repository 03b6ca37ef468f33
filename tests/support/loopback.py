"""Brings up the loopback device of a new network namespace with more addresses, and executes a command.

Usage: loopback.py ADDRESS... -- COMMAND...
"""

import fcntl
import os
import socket
import struct
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
IFF_UP = 1

end = sys.argv.index("--")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:

    def set_address(request, name, address):
        fields = struct.pack("16sH2s4s8x", name.encode(), socket.AF_INET, b"", socket.inet_aton(address))
        fcntl.ioctl(device, request, fields)

    def bring_up(name):
        got = fcntl.ioctl(device, SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
        flags = struct.unpack("16sH14x", got)[1] | IFF_UP
        fcntl.ioctl(device, SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), flags))

    bring_up("lo")
    for number, address in enumerate(sys.argv[1:end]):
        name = f"lo:{number}"
        set_address(SIOCSIFADDR, name, address)
        set_address(SIOCSIFNETMASK, name, "255.255.255.255")
os.execv(sys.argv[end + 1], sys.argv[end + 1 :])
