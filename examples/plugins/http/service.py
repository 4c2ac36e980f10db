"""An HTTP service with an API key for the example in this folder: python3 service.py PORT."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

TIDES = {"brest": 6.9, "dover": 6.8, "saint-malo": 12.2}


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urlparse(self.path)
        harbour = address.path.removeprefix("/tides/")
        unit = parse_qs(address.query).get("unit", ["metre"])[0]
        if self.headers["x-key"] != "open sesame":
            self.answer(403, {"error": "the key is wrong"})
        elif harbour not in TIDES:
            self.answer(404, {"error": f"no harbour {harbour}"})
        else:
            self.answer(200, {"range": round(TIDES[harbour] / (0.3048 if unit == "foot" else 1), 1), "unit": unit})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
