"""A server of the Model Context Protocol that works and keeps to the protocol in part only, as its first argument says. Standard
library only."""

import json
import sys

ODD = sys.argv[1]
PLAIN = {"type": "object", "properties": {}}
NULLABLE = {"type": "object", "required": ["id"], "properties": {
    "id": {"type": "integer"}, "assignee": {"type": ["string", "null"]}, "title": {"type": "string"}}}
SCHEMAS = {
    "draft4": {"type": "object", "properties": {"ttl": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}}},
    "own": {"$schema": "https://tools.example/v3", "type": "object", "properties": {"a": {"type": "string"}}},
    "empty": {},
    "remote": {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:9/x.json"}}},
    "lost": {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}},
    "nullable": {"type": "object", "properties": {"a": {"type": "string", "nullable": True}}, "required": ["a"]},
    "default_bad": {"type": "object", "properties": {"n": {"type": "integer", "default": "many"}}},
    "lookahead": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=.*[0-9])[a-z0-9]+$"}}},
}


def tool(name, schema=PLAIN):
    return {"name": name, "inputSchema": schema, "annotations": {"readOnlyHint": True}}


def tools(cursor):
    if ODD == "endless":
        page = int(cursor or 0) + 1
        batch = [dict(tool("t%d_%d" % (page, n)), description="d" * 10_000) for n in range(50)]
        return {"tools": batch, "nextCursor": str(page)}
    if ODD == "same-cursor":
        return {"tools": [tool("t" + (cursor or "0"))], "nextCursor": "1"}
    if ODD == "schemaless":
        return {"tools": [{"name": "bad"}, {"name": "worse", "inputSchema": None}, tool("good")]}
    if ODD == "names":
        names = ["file.read", "file-read", "file_read", "list_resources"]
        return {"tools": [tool(name) for name in names]}
    if ODD == "schemas":
        return {"tools": [tool(name, schema) for name, schema in SCHEMAS.items()]}
    if ODD == "no-tools":
        raise KeyError
    return {"tools": [tool("good"), tool("update", NULLABLE)]}


def call(params):
    if ODD == "data-alone":
        return {"content": None, "structuredContent": {"balance": 4711}}
    if ODD == "parts":
        return {"content": [{"type": "widget", "html": "<b>"}, {"type": "image", "data": "aGk="}, {"type": "text", "text": "kept"}]}
    return {"content": [{"type": "text", "text": "%s %s" % (params["name"], json.dumps(params["arguments"], sort_keys=True))}]}


METHODS = {
    "initialize": lambda params: {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}, "prompts": {}, "resources": {}} if ODD != "schemas" else {"tools": {}},
        "serverInfo": {"name": "odd", "version": "1"}},
    "tools/list": lambda params: tools(params.get("cursor")),
    "tools/call": call,
    "resources/list": lambda params: {
        "resources": [{"uri": "x://1"}, {"name": "lost"}], "nextCursor": "again" if ODD == "same-cursor" else None},
}
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request or "method" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        answer["result"] = METHODS[request["method"]](request.get("params") or {})
    except KeyError:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
