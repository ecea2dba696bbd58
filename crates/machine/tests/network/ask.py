"""Asks the gateway for a name, as resolvers do: `ask.py NAME KIND udp|tcp`.
Prints the code, `cut` where the answer was, and the addresses."""

import socket
import struct
import sys

SERVER = ("198.19.0.1", 53)
KINDS = {"A": 1, "TXT": 16, "AAAA": 28}


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 0x2A2A, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, 1)


def over_tcp(message):
    with socket.create_connection(SERVER, 10) as stream:
        stream.sendall(struct.pack(">H", len(message)) + message)
        reader = stream.makefile("rb")
        (length,) = struct.unpack(">H", reader.read(2))
        return reader.read(length)


def over_udp(message):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(10)
        sender.sendto(message, SERVER)
        return sender.recv(65535)


def main():
    name, kind, how = sys.argv[1:]
    asked = question(name, KINDS[kind])
    answer = (over_tcp if how == "tcp" else over_udp)(asked)
    _, flags, _, count, _, _ = struct.unpack(">6H", answer[:12])
    at, found = len(asked), []
    for _ in range(0 if flags & 0x0200 else count):
        kind, _, _, length = struct.unpack(">2HIH", answer[at + 2 : at + 12])
        if kind == 1:
            found.append(socket.inet_ntoa(answer[at + 12 : at + 12 + length]))
        at += 12 + length
    cut = ["cut"] if flags & 0x0200 else []
    print(" ".join([str(flags & 15)] + cut + found))


main()
