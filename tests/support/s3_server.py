"""An S3 server on the loopback interface, and a proxy before it that breaks requests."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

BUCKET = "bucket"
ACCESS = {"key": "testing", "secret": "testing"}


class Faults:
    """What happens to the next requests.

    Attributes:
        requests: list of (method, path, range) of all requests so far.
    """

    def __init__(self):
        self.requests: list[tuple[str, str, str | None]] = []
        self._rules: list[tuple[Callable[[str, str], bool], str, int]] = []

    def add(self, kind: str, times: int, name: str, method: str = "GET") -> None:
        """Breaks requests.

        Args:
            kind: "break" (the connection ends in the middle of the answer), "slow" (no answer for
                ten seconds) or "busy" (503).
            times: number of requests.
            name: text that the path contains.
            method: HTTP method.
        """
        self._rules.append((lambda verb, path: verb == method and name in path, kind, times))

    def clear(self) -> None:
        """Breaks no further requests, and forgets those so far."""
        self._rules.clear()
        self.requests.clear()

    def of(self, method: str, path: str, span: str | None) -> str | None:
        """Returns the fault of a request."""
        self.requests.append((method, path, span))
        for place, (matches, kind, times) in enumerate(self._rules):
            if times and matches(method, path):
                self._rules[place] = matches, kind, times - 1
                return kind
        return None


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[str, Faults]]:
    """Starts the server with an empty bucket; yields the address of the proxy and the faults."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    faults = Faults()
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _proxy(host, port, faults))
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}", faults
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        server.stop()


def require_credentials(address: str, wanted: bool) -> None:
    """Makes the server refuse or accept unknown access keys."""
    body = b"0" if wanted else b"inf"
    kind = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{address}/moto-api/reset-auth", body, kind)
    urllib.request.urlopen(request).read()


def _proxy(host: str, port: int, faults: Faults) -> type[http.server.BaseHTTPRequestHandler]:
    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self._body()
            fault = faults.of(self.command, self.path, self.headers.get("Range"))
            if fault == "slow":
                time.sleep(10)
            if fault == "busy":
                self._answer(503, [("Content-Type", "application/xml")],
                             b"<Error><Code>ServiceUnavailable</Code></Error>")  # fmt: skip
                return
            upstream = http.client.HTTPConnection(host, port, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            own = ("transfer-encoding", "connection", "date", "server")
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in own]
            if fault == "break":
                self.send_response(answer.status)
                for name, value in kept:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self._answer(answer.status, kept, content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            sized = {name.lower() for name, _ in headers}
            for name, value in headers:
                self.send_header(name, value)
            if "content-length" not in sized:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ValueError):
                super().handle()

    return Proxy
