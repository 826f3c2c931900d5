"""Many HTTP/2 connections that have made one gRPC call each and then rest. By hand: a library would be the larger part of
what is measured, and a call needs five frames."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1
TIMEOUT_SECONDS = 10


class Connections:
    """Open until the end of the block. `errors` counts those whose call did not end with a message."""

    def __init__(self, address: str, method: str, body: bytes, count: int) -> None:
        host, port = address.split(":")
        self.sockets: list[socket.socket] = []
        self.errors = 0
        for _ in range(count):
            connection = socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS)
            self.sockets.append(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            call = _frame(HEADERS, END_HEADERS, 1, _headers(address, method)) + _frame(DATA, END_STREAM, 1, body)
            connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b"") + call)
            if not _answered(connection):
                self.errors += 1

    def __enter__(self) -> "Connections":
        return self

    def __exit__(self, *_) -> None:
        for connection in self.sockets:
            connection.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _headers(authority: str, path: str) -> bytes:
    """RFC 7541 without Huffman: names by index of the static table, values literal and not indexed."""

    def text(value: str) -> bytes:
        return bytes([len(value)]) + value.encode()

    post, http = b"\x83", b"\x86"
    content_type, te = b"\x0f\x10", b"\x00" + text("te")
    return (
        post + http + b"\x04" + text(path) + b"\x01" + text(authority)
        + content_type + text("application/grpc") + te + text("trailers")
    )


def _answered(connection: socket.socket) -> bool:
    """Reads until the call has ended; acknowledges what asks for it."""
    message = False
    with connection.makefile("rb") as stream:
        while len(head := stream.read(9)) == 9:
            length = int.from_bytes(head[:3], "big")
            kind, flags, number = struct.unpack(">BBI", head[3:])
            payload = stream.read(length)
            if kind in (SETTINGS, PING) and not flags & ACK:
                connection.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
            message |= kind == DATA and length > 0
            if number == 1 and kind in (DATA, HEADERS) and flags & END_STREAM:
                return message
    return False
