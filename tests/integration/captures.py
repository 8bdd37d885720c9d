"""Packets of a few flows: as a capture file for an exporter, and as samples of sFlow."""

import ipaddress
import struct

TCP, UDP, ICMP = 6, 17, 1
ETHERNET, IPV4, IPV6 = 1, 0x0800, 0x86DD
AGENT = "192.0.2.254"


def frame(src, dst, protocol, ports, size, flags=0):
    """Return an Ethernet frame with an IP packet of so many bytes; ICMP has type and code for ports."""
    ends = [ipaddress.ip_address(each).packed for each in (src, dst)]
    is_v6 = len(ends[0]) > len(b"ipv4")
    length = size - (40 if is_v6 else 20)
    if protocol == TCP:
        head = struct.pack("!HHIIBBHHH", *ports, 1, 1, 5 << 4, flags, 8192, 0, 0)
    elif protocol == UDP:
        head = struct.pack("!HHHH", *ports, length, 0)
    else:
        head = struct.pack("!BBHHH", *ports, 0, 1, 1)
    if is_v6:
        packet = struct.pack("!IHBB", 6 << 28, length, protocol, 64)
    else:
        packet = struct.pack("!BBHHHBBH", 0x45, 0, size, 1, 0, 64, protocol, 0)
    macs = bytes.fromhex("00005e00530100005e005302")
    ethertype = struct.pack("!H", IPV6 if is_v6 else IPV4)
    return macs + ethertype + packet + b"".join(ends) + head + bytes(length - len(head))


def capture(path, packets):
    """Write (time in microseconds, frame) as a pcap file."""
    written = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, ETHERNET)
    for time, data in sorted(packets):
        written += struct.pack("<IIII", *divmod(time, 1_000_000), len(data), len(data)) + data
    path.write_bytes(written)


def sflow(data, *, rate, came_by, left_by):
    """Return a datagram of sFlow 5 with one sampled frame."""
    padded = data + bytes(-len(data) % 4)
    record = struct.pack("!IIII", ETHERNET, len(data), 0, len(data)) + padded
    sample = struct.pack("!IIIIIIII", 1, came_by, rate, rate, 0, came_by, left_by, 1)
    sample += struct.pack("!II", 1, len(record)) + record
    agent = struct.pack("!I", 1) + ipaddress.ip_address(AGENT).packed
    header = struct.pack("!I", 5) + agent + struct.pack("!IIII", 0, 1, 1000, 1)
    return header + struct.pack("!II", 1, len(sample)) + sample
