# A client that asks for something trivial again and again, and prints for each answer when it asked and when it had it.
# It is a process of its own, so that what the campaign does is not taken for a delay.

import socket
import sys
import time

REQUEST = b"GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n"
PAUSE = 0.001


def main() -> None:
    """Ask until killed. Times are in nanoseconds of the clock that all processes share."""
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            asked = time.monotonic_ns()
            connection.sendall(REQUEST)
            if not connection.recv(65536).startswith(b"HTTP/1.1 200 "):
                sys.exit("the gateway does not answer")
            print(asked, time.monotonic_ns(), flush=True)
            time.sleep(PAUSE)


if __name__ == "__main__":
    main()
