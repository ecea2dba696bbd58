"""What a VMM is to a network: opens the tap of the namespace that it was started in, as the
user that may, and has a guest at its other end, which is a network namespace too. Frames go
between them as a virtual card hands them over: with sums and segments left to the device."""

import ctypes
import fcntl
import os
import select
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 0x1, 0x2


def open_tap(name, user):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    os.seteuid(user)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    os.seteuid(0)
    return tap


def open_in(guest):
    namespace = os.open(f"/proc/{guest}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    return open_tap(b"eth0", 0)


def main():
    guest, user = int(sys.argv[1]), int(sys.argv[2])
    host_end = open_tap(b"tap0", user)
    # A thread goes to the guest; the process stays where it was started.
    with ThreadPoolExecutor(1) as visitor:
        guest_end = visitor.submit(open_in, guest).result()
    print("up", flush=True)
    other = {host_end: guest_end, guest_end: host_end}
    while True:
        for end in select.select(list(other), [], [])[0]:
            try:
                os.write(other[end], os.read(end, 70000))
            except OSError:
                pass  # The other end is full, or down: the frame is lost.


main()
