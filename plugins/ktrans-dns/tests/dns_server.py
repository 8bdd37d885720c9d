"""A DNS server for tests, over UDP and TCP: `python dns_server.py PORT LOG`; it prints its port.

The third number of a private address 10.0.X.Y says how it is answered.
"""

import re
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
import dns.rrset

SOA = "ns.example.net. hostmaster.example.net. 1 7200 900 1209600 900"
NAMED, NONE, SLOW, FAILS, LARGE, SILENT, EMPTY, GARBAGE, DELEGATED, ODD = range(10)
RCODES = {NONE: dns.rcode.NXDOMAIN, FAILS: dns.rcode.SERVFAIL}


def answer(query, log, *, tcp):
    name = query.question[0].name
    log.write(name.to_text() + "\n")
    log.flush()
    address = dns.reversename.to_address(name)
    kind = int(address.split(".")[2]) if address.startswith("10.0.") else NAMED
    if address == "127.0.0.1":
        kind = NONE
    if kind == SILENT:
        return None
    if kind == GARBAGE:
        return query.to_wire()[:2] + b"\xff" * 9
    if kind == SLOW:
        time.sleep(1.5)
    response = dns.message.make_response(query)
    response.set_rcode(RCODES.get(kind, dns.rcode.NOERROR))
    if kind in (NONE, EMPTY):
        response.authority.append(dns.rrset.from_text("10.in-addr.arpa.", 900, "IN", "SOA", SOA))
    elif kind == LARGE and not tcp:
        response.flags |= dns.flags.TC
    elif kind != FAILS:
        response.answer = records(kind, name, re.split("[.:]", address)[-1])
    return response.to_wire(max_size=65535)


def records(kind, name, last):
    if kind == LARGE:
        names = [f"a-rather-long-name-{i:03}.example.net." for i in range(99, 0, -1)]
    else:
        names = [r"we\"ird\000\.\255.example.net." if kind == ODD else f"Host-{last}.Example.net."]
    found = []
    if kind == DELEGATED:
        target = f"{last}.sub.8.0.10.in-addr.arpa."
        found.append(dns.rrset.from_text(name, 3600, "IN", "CNAME", target))
        name = target
    return [*found, dns.rrset.from_text(name, 3600, "IN", "PTR", *names)]


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        made = answer(dns.message.from_wire(data), self.server.log, tcp=False)
        if made is not None:
            sock.sendto(made, self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        size = int.from_bytes(self.rfile.read(2))
        made = answer(dns.message.from_wire(self.rfile.read(size)), self.server.log, tcp=True)
        if made is not None:
            self.wfile.write(len(made).to_bytes(2) + made)


class UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 65535


class TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def servers(port):
    """Return both servers on one port; a free one if it is 0."""
    while True:
        udp = UdpServer(("127.0.0.1", port), Udp)
        try:
            return udp, TcpServer(udp.server_address, Tcp)
        except OSError:
            udp.server_close()
            if port:
                raise


def main():
    udp, tcp = servers(int(sys.argv[1]))
    with Path(sys.argv[2]).open("a") as log:
        udp.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        udp.log = tcp.log = log
        threading.Thread(target=tcp.serve_forever, daemon=True).start()
        print(udp.server_address[1], flush=True)
        udp.serve_forever()


if __name__ == "__main__":
    main()
