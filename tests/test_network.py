import socket
import urllib.request

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.com", 443), ("10.0.0.1", 22)])
def test_other_machines_cannot_be_reached(address):
    with pytest.raises(RuntimeError, match="tests run without network"):
        socket.create_connection(address, timeout=1)


def test_urllib_is_blocked_too():
    with pytest.raises(RuntimeError, match="tests run without network"):
        urllib.request.urlopen("http://example.com", timeout=1)


def test_datagrams_are_blocked():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(RuntimeError, match="tests run without network"):
            sock.sendto(b"x", ("192.0.2.1", 9))


def test_this_machine_can_be_reached():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            assert client.getpeername() == server.getsockname()
