//! What a message is about, told from its outermost level. Nothing of it is kept, so it may be of any length.

use serde::de::IgnoredAny;
use serde_json::Value;

/// Bytes of a name or number that are kept.
const TOKEN: usize = 128;

/// What is known of a JSON object that is read in pieces.
#[derive(Debug, Default)]
pub struct Gist {
    depth: u64,
    /// Whether it is inside a string, and after a backslash there.
    string: bool,
    escaped: bool,
    /// The name or value of the outermost level that is being read.
    token: Vec<u8>,
    /// Whether the value being read is the number of a question.
    numbers: bool,
    id: Option<Value>,
    /// It has a `result` or an `error`.
    answers: bool,
    /// It has a `method`.
    asks: bool,
}

impl Gist {
    /// Reads on.
    pub fn read(&mut self, piece: &[u8]) {
        for &byte in piece {
            if self.string {
                self.keep(byte);
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => {
                    self.string = true;
                    self.keep(byte);
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    if self.depth == 1 {
                        self.value_ends();
                    }
                    self.depth = self.depth.saturating_sub(1);
                }
                b':' if self.depth == 1 => self.name_ends(),
                b',' if self.depth == 1 => self.value_ends(),
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => self.keep(byte),
            }
        }
    }

    /// The number of the question that it answers, if that is what it does.
    pub fn answered(self) -> Option<Value> {
        let known = matches!(self.id, Some(Value::Number(_) | Value::String(_)));
        if self.answers && !self.asks && known { self.id } else { None }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() < TOKEN {
            self.token.push(byte);
        }
    }

    fn name_ends(&mut self) {
        match self.token.as_slice() {
            br#""id""# => self.numbers = true,
            br#""result""# | br#""error""# => self.answers = true,
            br#""method""# => self.asks = true,
            _ => {}
        }
        self.token.clear();
    }

    fn value_ends(&mut self) {
        if std::mem::take(&mut self.numbers) {
            self.id = serde_json::from_slice(&self.token).ok();
        }
        self.token.clear();
    }
}

/// Whether a line is a message: a JSON object that asks, tells or answers.
pub fn is_message(line: &[u8]) -> bool {
    let gist = gist(line);
    // What is skipped is not looked at for letters that are none.
    let text = std::str::from_utf8(line);
    (gist.asks || gist.answers) && text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// The number of the question that a line answers, as far as can be told: it need not be good JSON.
pub fn answered(line: &[u8]) -> Option<Value> {
    gist(line).answered()
}

fn gist(line: &[u8]) -> Gist {
    let mut gist = Gist::default();
    gist.read(line);
    gist
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_from_noise() {
        for message in [r#"{"id": 1, "result": null}"#, r#"{"method":"a"}"#, "{\"error\": {}, \"id\": 1}\r"] {
            assert!(is_message(message.as_bytes()), "{message}");
        }
        for noise in ["", "7", "Loading…", r#"{"level": "error"}"#, r#"{"result": "#, r#"["result", 1]"#] {
            assert!(!is_message(noise.as_bytes()), "{noise}");
        }
        assert!(!is_message(b"{\"id\": 3, \"result\": \"\xff\xfe\"}"));
    }

    #[test]
    fn an_answer_that_is_no_json_still_says_what_it_answers() {
        assert_eq!(answered(b"{\"id\": 3, \"result\": \"\xff\xfe\"}"), Some(3.into()));
        assert_eq!(answered(b"}}]\"{\"id\": 3, \"result\""), None);
    }
}
