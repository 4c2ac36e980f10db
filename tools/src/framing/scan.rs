//! A shallow JSON scanner: finds the top-level `id`, `method`, `result` and `error` of a message of any
//! length without storing it.

use serde::de::IgnoredAny;
use serde_json::Value;

/// Limit on the bytes kept of one top-level name or value.
const TOKEN: usize = 128;

/// Limit on the values of one message. A decoded value takes up to a hundred bytes.
const MAX_VALUES: usize = 500_000;

/// The state of a JSON object that arrives in chunks.
#[derive(Debug, Default)]
pub struct MessageScan {
    depth: u64,
    /// Inside a string, and after a backslash in it.
    string: bool,
    escaped: bool,
    /// The top-level name or value being read.
    token: Vec<u8>,
    /// The value being read belongs to `id`.
    in_id: bool,
    id: Option<Value>,
    /// The object has a `result` or an `error`.
    is_response: bool,
    /// The object has a `method`.
    is_request: bool,
}

impl MessageScan {
    /// Scans the next chunk.
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
                        self.end_value();
                    }
                    self.depth = self.depth.saturating_sub(1);
                }
                b':' if self.depth == 1 => self.end_name(),
                b',' if self.depth == 1 => self.end_value(),
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => self.keep(byte),
            }
        }
    }

    /// Id of the request that the object answers, if it is a response.
    pub fn answered_id(self) -> Option<Value> {
        let known = matches!(self.id, Some(Value::Number(_) | Value::String(_)));
        if self.is_response && !self.is_request && known { self.id } else { None }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() < TOKEN {
            self.token.push(byte);
        }
    }

    fn end_name(&mut self) {
        match self.token.as_slice() {
            br#""id""# => self.in_id = true,
            br#""result""# | br#""error""# => self.is_response = true,
            br#""method""# => self.is_request = true,
            _ => {}
        }
        self.token.clear();
    }

    fn end_value(&mut self) {
        if std::mem::take(&mut self.in_id) {
            self.id = serde_json::from_slice(&self.token).ok();
        }
        self.token.clear();
    }
}

/// Whether a line is a message: a JSON object that is a request, a notification or a response.
pub fn is_message(line: &[u8]) -> bool {
    let scan = scan(line);
    // `IgnoredAny` does not check the encoding of strings.
    let text = std::str::from_utf8(line);
    (scan.is_request || scan.is_response)
        && text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Whether a message of JSON has so many values that its decoded form would take many times its size. Deep nesting is refused by
/// the decoder itself.
pub fn has_too_many_values(message: &[u8]) -> bool {
    if message.len() <= MAX_VALUES {
        return false;
    }
    let (mut values, mut string, mut escaped) = (0, false, false);
    for &byte in message {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if string => escaped = true,
            b'"' => string = !string,
            b',' | b'[' | b'{' if !string => values += 1,
            _ => {}
        }
    }
    values > MAX_VALUES
}

/// Id of the request that a line answers, as far as a scan can tell. The line need not be valid JSON.
pub fn answered_id(line: &[u8]) -> Option<Value> {
    scan(line).answered_id()
}

fn scan(line: &[u8]) -> MessageScan {
    let mut scan = MessageScan::default();
    scan.read(line);
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_distinguished_from_noise() {
        for message in [r#"{"id": 1, "result": null}"#, r#"{"method":"a"}"#, "{\"error\": {}, \"id\": 1}\r"] {
            assert!(is_message(message.as_bytes()), "{message}");
        }
        for noise in ["", "7", "Loading…", r#"{"level": "error"}"#, r#"{"result": "#, r#"["result", 1]"#] {
            assert!(!is_message(noise.as_bytes()), "{noise}");
        }
        assert!(!is_message(b"{\"id\": 3, \"result\": \"\xff\xfe\"}"));
    }

    #[test]
    fn a_message_of_too_many_values_is_found_by_its_separators() {
        let nested = |part: &str| format!(r#"{{"id": 1, "result": [{}]}}"#, part.repeat(MAX_VALUES));
        assert!(has_too_many_values(nested("[],").as_bytes()));
        assert!(!has_too_many_values(
            format!(r#"{{"result": "{}"}}"#, r#"\",["#.repeat(MAX_VALUES)).as_bytes()
        ));
        assert!(!has_too_many_values(b"{}"));
    }

    #[test]
    fn the_id_of_an_invalid_response_is_found() {
        assert_eq!(answered_id(b"{\"id\": 3, \"result\": \"\xff\xfe\"}"), Some(3.into()));
        assert_eq!(answered_id(b"}}]\"{\"id\": 3, \"result\""), None);
    }
}
