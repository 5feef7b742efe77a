"""Makes every address of this network namespace lead to itself: lo is up, and all of IPv4 and IPv6 is
local to it. By netlink, so that no package of the system is needed. Run it only in a namespace of its own.
"""
import socket
import struct

RTM_NEWLINK, RTM_NEWROUTE = 16, 24
REQUEST, ACK, REPLACE, CREATE = 1, 4, 0x100, 0x400
LO, UP = 1, 1
TABLE_LOCAL, BY_ADMIN, SCOPE_HOST, TYPE_LOCAL = 255, 4, 254, 2
OUTGOING_INTERFACE = 4


def ask(kind, flags, payload):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(payload), kind, REQUEST | ACK | flags, 1, 0) + payload)
        failure = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
        if failure:
            raise OSError(-failure, f"netlink request {kind}")


ask(RTM_NEWLINK, 0, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, LO, UP, UP))
for family in (socket.AF_INET, socket.AF_INET6):
    route = struct.pack("=8BI", family, 0, 0, 0, TABLE_LOCAL, BY_ADMIN, SCOPE_HOST, TYPE_LOCAL, 0)
    ask(RTM_NEWROUTE, CREATE | REPLACE, route + struct.pack("=HHi", 8, OUTGOING_INTERFACE, LO))
