"""An HTTP server before fake-gcs-server, which fails on demand and keeps preconditions.

fake-gcs-server heeds `ifGenerationMatch` when an object is uploaded, but not when one is rewritten
or deleted; here these requests are compared with the object's generation first.
"""

import contextlib
import http.client
import http.server
import json
import threading
from urllib.parse import parse_qs, quote, unquote, urlsplit

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


class GcsProxy:
    """
    Attributes:
        url: where it listens.
        faults: functions that get (method, path, query) and give None to let a request pass, or a
            Fault for it. The first that gives one wins.
        requests: (method, path, query) of all requests.
    """

    def __init__(self, upstream):
        self.upstream = urlsplit(upstream).netloc
        self.faults = []
        self.requests = []
        self.under_way = 0
        self.changed = threading.Condition()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def once(self, wanted, fault, times=1):
        """Answer the first requests for which `wanted(method, path, query)` holds by a fault."""
        left = [fault] * times

        def answer(method, path, query):
            return left.pop() if left and wanted(method, path, query) else None

        self.faults.append(answer)
        return left

    def settle(self):
        """Wait for requests of a killed process, which may still be carried out."""
        with self.changed:
            assert self.changed.wait_for(lambda: not self.under_way, timeout=60)

    def fault_for(self, *request):
        found = (answer(*request) for answer in list(self.faults))
        return next((fault for fault in found if fault is not None), None)

    def ask(self, method, target, body=None, headers=()):
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        connection.request(method, target, body, dict(headers))
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, response.getheaders(), data

    def generation(self, bucket, key):
        status, _, data = self.ask("GET", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}")
        return int(json.loads(data)["generation"]) if status == 200 else 0

    def precondition_fails(self, method, path, query):
        wanted = query.get("ifGenerationMatch")
        if wanted is None or "/o/" not in path:
            return False
        bucket = path.partition("/b/")[2].partition("/")[0]
        if "/rewriteTo/" in path:
            path = path.partition("/rewriteTo/")[2]
        elif method != "DELETE":
            return False
        key = unquote(path.partition("/o/")[2])
        return self.generation(bucket, key) != int(wanted[0])

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Fault:
    """What to answer instead: a status, or the true answer cut off after some bytes of its body."""

    def __init__(self, status=None, *, headers=(), body=b"as the test asked for", cut=None):
        self.status, self.headers, self.body, self.cut = status, headers, body, cut


def _handler(proxy):  # noqa: C901  one class, which needs the proxy
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _serve(self):
            with proxy.changed:
                proxy.under_way += 1
            try:
                with contextlib.suppress(ConnectionError):  # the other side may be killed
                    self._serve_one()
            finally:
                with proxy.changed:
                    proxy.under_way -= 1
                    proxy.changed.notify_all()

        def _serve_one(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else self._chunked()
            split = urlsplit(self.path)
            query = parse_qs(split.query, keep_blank_values=True)
            proxy.requests.append((self.command, split.path, query))
            fault = proxy.fault_for(self.command, split.path, query)
            if fault is not None and fault.status:
                self._answer(fault.status, fault.headers, fault.body)
                return
            if proxy.precondition_fails(self.command, split.path, query):
                self._answer(412, [("Content-Type", "application/json")], b'{"error":{"code":412}}')
                return
            headers = [(k, v) for k, v in self.headers.items() if k.lower() not in HOP]
            status, answered, data = proxy.ask(self.command, self.path, body, headers)
            answered = [
                (k, v.replace(f"http://{proxy.upstream}", proxy.url))
                for k, v in answered
                if k.lower() not in HOP
            ]
            self._answer(status, answered, data, fault.cut if fault else None)

        def _chunked(self):
            if self.headers.get("Transfer-Encoding") != "chunked":
                return None
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        def _answer(self, status, headers, data, cut=None):
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if cut is not None:
                self.wfile.write(data[:cut])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815

    return Handler
