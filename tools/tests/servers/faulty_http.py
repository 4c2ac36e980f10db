"""A server of the Model Context Protocol over HTTP that misbehaves as its first argument says. It writes its port. Standard
library only."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULT = sys.argv[1]
PIECE = b"x" * 1_000_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def whole(self, status, message=None):
        body = b"" if message is None else json.dumps(message).encode()
        self.begin(status, "application/json", len(body))
        self.wfile.write(body)

    def begin(self, status, kind, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def piece(self, raw):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))

    def do_GET(self):
        self.whole(405)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = request.get("method")
        if "id" not in request:
            self.whole(202)
        elif method == "initialize":
            self.answer(request, {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "faulty", "version": "1"},
            })
        elif method == "tools/list":
            schema = {"type": "object", "properties": {}}
            self.answer(request, {"tools": [{"name": n, "inputSchema": schema} for n in ("misbehave", "behave")]})
        elif method == "tools/call" and request["params"]["name"] == "misbehave":
            try:
                self.misbehave(request["id"])
            except OSError:
                self.close_connection = True
        elif method == "tools/call":
            self.answer(request, {"content": [{"type": "text", "text": "well"}]})
        else:
            self.whole(200, {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "unknown"}})

    def answer(self, request, result):
        self.whole(200, {"jsonrpc": "2.0", "id": request["id"], "result": result})

    def misbehave(self, id):
        head = b'{"jsonrpc": "2.0", "id": %d, "result": {"content": [{"type": "text", "text": "' % id
        tail = b'"}]}}'
        if FAULT == "large":
            self.begin(200, "application/json", len(head) + 100 * len(PIECE) + len(tail))
            self.wfile.write(head)
            for _ in range(100):
                self.wfile.write(PIECE)
            self.wfile.write(tail)
        elif FAULT == "endless":
            self.begin(200, "application/json")
            self.piece(head)
            while True:
                self.piece(PIECE)
        elif FAULT == "large-event":
            self.begin(200, "text/event-stream")
            self.piece(b"data: " + head)
            while True:
                self.piece(PIECE)
        elif FAULT == "noise":
            self.begin(200, "text/event-stream")
            while True:
                self.piece(b"data: " + PIECE + b"\n\n")


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
