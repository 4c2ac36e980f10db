"""Measures the studio: a long run on its pages, and a run under way beside them. Needs Chromium; Python's own library is enough.

    python3 bench/studio.py --home HOME --records 1000000

HOME must hold a finished run, which is multiplied to that many records in a copy. Prints one JSON document: seconds until the log is
outlined, memory of the server (MB resident, and of that without the program's own file), first paint and bytes of the page, frames
per second by Chromium's own trace while scrolling and scrubbing, the report, and for a run in Crafter with a scripted model how long
after a record's time it is told and shown, and the steps per second with a page open over those without.
"""

import argparse
import base64
import http.server
import json
import os
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TOKEN = "0123456789abcdef0123456789abcdef"
LONG = "20260101-000000-b16b"
PROGRAM = """
  const target = observe().inventory.wood + n;
  for (let i = 0; i < 40 && observe().inventory.wood < target; i++) {
    if (go_to("tree")) interact();
    else explore(10);
  }
}"""
CATEGORIES = "disabled-by-default-devtools.timeline,disabled-by-default-devtools.timeline.frame,devtools.timeline"


class Page:
    """A page of Chromium, by the DevTools protocol over a WebSocket."""

    def __init__(self, chromium, place):
        self.process = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             f"--user-data-dir={place}/profile", "--window-size=1440,900", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"ws://([\d.]+):(\d+)/", line)
            if found:
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        host, port = found[1], int(found[2])
        pages = json.load(urllib.request.urlopen(f"http://{host}:{port}/json"))
        path = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page").split(f":{port}", 1)[1]
        self.socket = socket.create_connection((host, port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.stream = self.socket.makefile("rb")
        while self.stream.readline().strip():
            pass
        self.number, self.events = 0, []

    def send(self, method, **params):
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": params}).encode()
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0x80 | 126]) + size.to_bytes(2, "big") \
            if size < 65536 else bytes([0x81, 0x80 | 127]) + size.to_bytes(8, "big")
        self.socket.sendall(head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data)))
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                return message.get("result", {})
            self.events.append(message)

    def receive(self):
        text = b""
        while True:
            first, second = self.stream.read(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(self.stream.read(2 if size == 126 else 8), "big")
            part = self.stream.read(size)
            if first & 0x0F in (0, 1):
                text += part
                if first & 0x80:
                    return json.loads(text)

    def evaluate(self, expression):
        return self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)["result"].get("value")

    def until(self, expression, seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            if self.evaluate(expression):
                return
            time.sleep(0.1)
        raise TimeoutError(expression)

    def traced(self, expression):
        """Frames per second that were drawn while the expression ran, and milliseconds of the main thread for each."""
        self.events.clear()
        self.send("Tracing.start", transferMode="ReportEvents", categories=CATEGORIES)
        begun = time.time()
        self.evaluate(expression)
        seconds = time.time() - begun
        self.send("Tracing.end")
        while not any(event["method"] == "Tracing.tracingComplete" for event in self.events):
            self.events.append(self.receive())
        trace = [one for event in self.events if event["method"] == "Tracing.dataCollected" for one in event["params"]["value"]]
        drawn = sum(one["name"] == "DrawFrame" for one in trace)
        work = {"FunctionCall", "UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize", "Commit"}
        busy = sum(one.get("dur", 0) for one in trace if one["name"] in work) / 1000
        return {"frames_per_s": round(drawn / seconds, 1), "main_thread_ms_per_frame": round(busy / max(1, drawn), 1)}

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()


class Model(http.server.BaseHTTPRequestHandler):
    """A chat endpoint that takes the first of every choice and knows one program."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = request["messages"][-1]["content"]
        schema = ((request.get("response_format") or {}).get("json_schema") or {}).get("schema")
        if schema:
            text = json.dumps(first(schema))
        else:
            head = question.split("It begins with:\n", 1)[-1]
            text = "```javascript\n" + head + PROGRAM + "\n```"
        choices = [{"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                   for index in range(request.get("n") or 1)]
        body = json.dumps({"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def first(schema):
    if "anyOf" in schema:
        return first(schema["anyOf"][0])
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    kind = schema.get("type")
    if kind == "object":
        return {name: first(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [first(schema["items"])]
    return {"integer": schema.get("minimum", 1), "number": 1, "boolean": True}.get(kind, "x")


def multiply(home, records):
    """A run of that many records, whose middle is that of the longest run again and again."""
    log = sqlite3.connect(f"{home}/sojourn.db")
    log.execute("pragma synchronous = off")
    number, last = log.execute("select no, last_seq from runs order by last_seq desc limit 1").fetchone()
    columns = [row[1] for row in log.execute("pragma table_info(runs)")]
    kept = ", ".join({"id": f"'{LONG}'", "no": "null"}.get(name, name) for name in columns)
    log.execute(f"insert into runs select {kept} from runs where no = {number}")
    (new,) = log.execute("select no from runs where id = ?", (LONG,)).fetchone()
    copied = [row[1] for row in log.execute("pragma table_info(records)") if row[1] not in ("run", "seq", "at_ms", "place")]
    names = ", ".join(copied)

    def copy(offset, later_ms, low, high):
        log.execute(f"insert into records (run, seq, at_ms, {names}) select {new}, seq + {offset}, at_ms + {later_ms}, {names} "
                    f"from records where run = {number} and seq between {low} and {high}")

    copy(0, 0, 1, 1)
    written, times = 1, 0
    while written < records:
        copy(written - 1, times * 60_000, 2, last - 1)
        written += last - 2
        times += 1
    log.execute("update runs set last_seq = ?, title = 'a long run' where no = ?", (written, new))
    log.commit()
    log.close()
    return written


class Studio:
    def __init__(self, program, home):
        environment = {**os.environ, "SOJOURN_STUDIO_TOKEN": TOKEN}
        self.process = subprocess.Popen([program, "--home", home, "studio", "--http", "127.0.0.1:0"], env=environment,
                                        stderr=subprocess.PIPE, text=True)
        self.address = re.search(r"http://([\d.:]+)/", self.process.stderr.readline())[1]

    def get(self, path):
        headers = {"authorization": f"Bearer {TOKEN}"}
        return json.load(urllib.request.urlopen(urllib.request.Request(f"http://{self.address}/api{path}", headers=headers)))

    def megabytes(self):
        status = open(f"/proc/{self.process.pid}/status").read()
        kilobytes = {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "RssFile")}
        return {"resident": kilobytes["VmRSS"] // 1024, "without_files": (kilobytes["VmRSS"] - kilobytes["RssFile"]) // 1024}

    def open(self, page):
        page.send("Page.navigate", url=f"http://{self.address}/?token={TOKEN}")
        page.until("document.querySelector('.runs-list') !== null")

    def close(self):
        self.process.terminate()
        self.process.wait()


MOVE = """new Promise((done) => {
  const begun = performance.now();
  const tick = (now) => { %s; if (now - begun < 4000) requestAnimationFrame(tick); else done(); };
  requestAnimationFrame(tick);
})"""
SCROLL = MOVE % "document.querySelector('.timeline').scrollTop += 90"
SCRUB = MOVE % ("const range = document.querySelector('.scrubber input[type=range]'); range.value = String(Number(range.value) + 2); "
                "range.dispatchEvent(new Event('input'))")


def long_run(args, place, home):
    figures = {"records": multiply(home, args.records)}
    studio = Studio(args.program, home)
    figures["server_mb_before"] = studio.megabytes()
    page = Page(args.chromium, place)
    for domain in ("Page", "Network", "Runtime"):
        page.send(f"{domain}.enable")
    studio.open(page)
    begun = time.time()
    page.evaluate(f"location.hash = '#/run/{LONG}'")
    page.until("document.querySelector('.timeline .line') !== null")
    figures["first_view_s_unread"] = round(time.time() - begun, 2)
    while studio.get(f"/runs/{LONG}")["read"] < figures["records"]:
        time.sleep(0.5)
    figures["outlined_s"] = round(time.time() - begun, 1)
    figures["server_mb"] = studio.megabytes()
    page.evaluate(f"location.hash = '#/run/{LONG}?seq={figures['records'] // 2}'")
    page.events.clear()
    page.send("Page.reload")
    page.until("document.querySelector('.view') !== null")
    page.evaluate("new Promise((done) => setTimeout(done, 1500))")
    figures["first_paint_s"] = round(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000, 2)
    figures["page_bytes"] = sum(event["params"]["encodedDataLength"] for event in page.events
                                if event["method"] == "Network.loadingFinished")
    page.evaluate("document.querySelector('.timeline').scrollTop = 50000")
    time.sleep(1)
    figures["scrolling"] = page.traced(SCROLL)
    figures["scrubbing"] = page.traced(SCRUB)
    page.close()
    studio.close()
    begun = time.time()
    out = f"{place}/run.html"
    subprocess.run([args.program, "--home", home, "report", LONG, "--out", out], check=True, capture_output=True)
    figures["report"] = {"seconds": round(time.time() - begun, 1), "bytes": os.path.getsize(out)}
    return figures


def live_run(args, place):
    home = f"{place}/live"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(f"{place}/agent.toml", "w") as file:
        file.write('environment = "crafter"\nmodel = "scripted"\nembedding = "none"\n[run]\nmemory = false\ntasks = ["collect_wood"]\n'
                   f'[controller]\nkind = "openai"\nbase_url = "http://127.0.0.1:{server.server_address[1]}/v1"\n')

    def steps_per_second(page, studio, *more):
        command = [args.program, "--home", home, "run", f"{place}/agent.toml", "--seed", "1", "--steps", str(args.steps), "--json", *more]
        agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        seen = None
        if page:
            run = None
            while agent.poll() is None and run is None:
                run = next((one["run"] for one in studio.get("/runs?limit=5")["runs"] if one["live"]), None)
            if run:
                page.evaluate("window.told = []; window.shown = []; const Own = EventSource; window.EventSource = class extends Own { "
                              "set onmessage(call) { super.onmessage = (event) => { window.last = JSON.parse(event.data).last_at_ms; "
                              "told.push(Date.now() - last); call(event); }; } }; 0")
                page.evaluate("new MutationObserver(() => { if (window.last) shown.push(Date.now() - last); })"
                              ".observe(document.body, { subtree: true, childList: true, characterData: true }); 0")
                page.evaluate(f"location.hash = '#/run/{run}'")
            result = json.loads(agent.communicate()[0])
            seen = page.evaluate("({ told, shown })")
        else:
            result = json.loads(agent.communicate()[0])
        return result["totals"]["steps"] / result["seconds"], seen

    alone, watched, told, shown = [], [], [], []
    # The first run learns what the others do.
    steps_per_second(None, None)
    measured = ["--set", "run.learning=false", "--set", "run.deliberate=false"]
    for _ in range(args.rounds):
        alone.append(steps_per_second(None, None, *measured)[0])
        studio = Studio(args.program, home)
        page = Page(args.chromium, place)
        page.send("Runtime.enable")
        studio.open(page)
        rate, seen = steps_per_second(page, studio, *measured)
        watched.append(rate)
        told += (seen or {}).get("told", [])
        shown += (seen or {}).get("shown", [])
        page.close()
        studio.close()
    server.shutdown()
    late = {name: {"median": statistics.median(ms), "of_20_one_over": statistics.quantiles(ms, n=20)[-1]}
            for name, ms in (("told_ms", told), ("shown_ms", shown)) if len(ms) > 20}
    return {"steps_per_s_alone": round(statistics.median(alone)), "steps_per_s_watched": round(statistics.median(watched)),
            "ratio": round(statistics.median(watched) / statistics.median(alone), 3), "events": len(told), **late}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", default="target/debug/sojourn")
    arguments.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    arguments.add_argument("--home", help="a home with a finished run; without it only a run under way is measured")
    arguments.add_argument("--records", type=int, default=1_000_000)
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--rounds", type=int, default=3)
    args = arguments.parse_args()
    figures = {"processors": os.cpu_count(), "load_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as place:
        figures["live"] = live_run(args, place)
        if args.home:
            home = f"{place}/home"
            shutil.copytree(args.home, home)
            figures["long"] = long_run(args, place, home)
    figures["load_after"] = os.getloadavg()[0]
    json.dump(figures, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
