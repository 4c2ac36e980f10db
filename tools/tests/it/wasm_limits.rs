//! The memory limit of a component counts all of its memories and tables together.

#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Map, json};
use sojourn_testkit::PATIENCE;
use sojourn_tools::wasm::{WasmSettings, WasmSource};
use sojourn_tools::{CallContext, ToolSource as _};
use std::fmt::Write as _;
use std::path::Path;

/// A component with one tool. Its module has these further parts, and runs `body` in each call.
fn component(parts: &str, body: &str) -> Vec<u8> {
    let description = r#"{"tools":[{"name":"eat","effects":{}}]}"#;
    let escaped = description.replace('"', "\\\"");
    let length = description.len();
    let text = format!(
        r#"(component
          (core module $module
            (memory (export "memory") 1)
            {parts}
            (data (i32.const 64) "{escaped}")
            (data (i32.const 512) "true")
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "describe") (result i32)
              (i32.store (i32.const 0) (i32.const 64))
              (i32.store (i32.const 4) (i32.const {length}))
              (i32.const 0))
            (func (export "call") (param i32 i32 i32 i32 i64 i32 i32) (result i32)
              {body}
              (i32.store (i32.const 16) (i32.const 0))
              (i32.store (i32.const 20) (i32.const 512))
              (i32.store (i32.const 24) (i32.const 4))
              (i32.const 16)))
          (core instance $core (instantiate $module))
          (type $record (record (field "tool" string) (field "args" string) (field "now-ms" s64) (field "idempotency-key" string)))
          (export $request "request" (type $record))
          (func (export "describe") (result string)
            (canon lift (core func $core "describe") (memory $core "memory") (realloc (func $core "realloc"))))
          (func (export "call") (param "request" $request) (result (result string (error string)))
            (canon lift (core func $core "call") (memory $core "memory") (realloc (func $core "realloc")))))"#
    );
    wat::parse_str(&text).unwrap()
}

fn open(place: &Path, component: &[u8]) -> WasmSource {
    std::fs::write(place.join("it.wasm"), component).unwrap();
    let settings: WasmSettings =
        serde_json::from_value(json!({"component": "it.wasm", "memory_mib": 64})).unwrap();
    WasmSource::open("it", settings, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn memories_and_tables_of_a_component_have_one_limit() {
    let (mut memories, mut growing, mut grow) = (String::new(), String::new(), String::new());
    for number in 0..40 {
        writeln!(memories, "(memory $m{number} 900)").unwrap();
        writeln!(growing, "(memory $m{number} 0)").unwrap();
        writeln!(grow, "(drop (memory.grow $m{number} (i32.const 900)))").unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    for parts in [memories.as_str(), "(table 5000000 funcref)", "(memory $m 900) (table 1000000 funcref)"] {
        let source = open(place.path(), &component(parts, ""));
        assert!(!source.ready(PATIENCE).await, "{parts}");
        let notices = source.notices().join("\n");
        assert!(notices.contains("`memory_mib = 64`"), "{notices}");
    }
    let grow_table = "(drop (table.grow $t (ref.null func) (i32.const 5000000)))";
    for (parts, body, fits) in [
        (growing.as_str(), grow.as_str(), false),
        ("(table $t 0 funcref)", grow_table, false),
        ("(memory $m 0)", "(drop (memory.grow $m (i32.const 900)))", true),
    ] {
        let source = open(place.path(), &component(parts, body));
        assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
        let outcome = source.tools()[0].call(&Map::new(), &CallContext::default()).await;
        match outcome {
            Ok(outcome) => assert!(fits && outcome.ok, "{parts}: {outcome:?}"),
            Err(error) => {
                assert!(!fits && error.to_string().contains("`memory_mib = 64`"), "{parts}: {error}");
            }
        }
    }
}
