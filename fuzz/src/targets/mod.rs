//! The readers of outside data, each with inputs to start from.

mod log;
mod pictures;
mod sandbox;
mod tools;

/// A reader of outside data.
pub struct Target {
    /// Name on the command line.
    pub name: &'static str,
    /// Share of all executions, relative to the other readers: slow readers get fewer.
    pub share: f64,
    /// Valid inputs.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Reads an input. A panic is a failure.
    pub run: fn(&[u8]),
}

/// All readers.
pub const TARGETS: &[Target] = &[
    Target { name: "export", share: 1.0, corpus: log::exports, run: log::export },
    Target { name: "record", share: 0.5, corpus: log::payloads, run: log::record },
    Target { name: "payload", share: 1.0, corpus: log::values, run: log::payload },
    Target { name: "state_change", share: 1.0, corpus: log::values, run: log::state_change },
    Target { name: "rows", share: 1.0, corpus: log::rows, run: log::row },
    Target { name: "memory", share: 1.0, corpus: log::memories, run: log::memory },
    Target { name: "json_lines", share: 1.0, corpus: tools::lines, run: tools::json_lines },
    Target { name: "terminal", share: 1.0, corpus: tools::lines, run: tools::terminal },
    Target { name: "frames", share: 1.0, corpus: tools::messages, run: tools::frames },
    Target { name: "schema", share: 0.5, corpus: tools::schemas, run: tools::schema },
    Target { name: "condition", share: 1.0, corpus: tools::conditions, run: tools::condition },
    Target { name: "javascript", share: 0.5, corpus: tools::programs, run: tools::javascript },
    Target { name: "gguf", share: 0.02, corpus: tools::models, run: tools::gguf },
    Target { name: "media", share: 0.5, corpus: pictures::files, run: pictures::media },
    Target { name: "picture", share: 0.005, corpus: pictures::files, run: pictures::picture },
    Target { name: "sound", share: 0.01, corpus: pictures::sounds, run: pictures::sound },
    Target { name: "skill_folder", share: 0.01, corpus: tools::skills, run: tools::skill_folder },
    Target { name: "module", share: 0.002, corpus: sandbox::modules, run: sandbox::module },
    Target { name: "host", share: 0.001, corpus: sandbox::calls, run: sandbox::host },
];

/// A text of one line for each entry.
fn texts(entries: &[&str]) -> Vec<Vec<u8>> {
    entries.iter().map(|entry| entry.as_bytes().to_vec()).collect()
}
