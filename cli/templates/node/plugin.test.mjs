import assert from "node:assert/strict";
import { test } from "node:test";
import { answer } from "./plugin.mjs";

const call = (tool, args) => answer({ id: 1, method: "call", params: { tool, args } });

test("it greets", async () => {
  assert.deepEqual((await call("greet", { name: "Ada" })).result, { greeting: "Hello, Ada!" });
});

test("bad input is an error and not the end", async () => {
  assert.ok((await call("greet", { name: [] })).error);
  assert.ok((await call("no such tool", {})).error);
});

test("it says what it offers", async () => {
  const { result } = await answer({ id: 1, method: "describe" });
  assert.deepEqual(result.tools.map((tool) => tool.name), ["greet"]);
});
