//! Keyboard events by key name.

use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType};
use chromiumoxide::keys::get_key_definition;

/// Modifier keys and their bits in the DevTools protocol.
const MODIFIERS: [(&str, i64); 5] = [("Alt", 1), ("Control", 2), ("Ctrl", 2), ("Meta", 4), ("Shift", 8)];
/// Editing commands of key combinations. Chromium does not derive them from synthetic key events.
const COMMANDS: [(&str, &str); 6] =
    [("a", "selectAll"), ("c", "copy"), ("v", "paste"), ("x", "cut"), ("z", "undo"), ("y", "redo")];

/// Whether an event reads or writes the clipboard, by a command or by a key that Chromium knows itself.
pub(crate) fn uses_clipboard(event: &DispatchKeyEventParams) -> bool {
    let commands = event.commands.iter().flatten();
    let held = event.modifiers.unwrap_or(0);
    commands.into_iter().any(|command| matches!(command.as_str(), "copy" | "paste" | "cut"))
        || match event.key.as_deref() {
            Some("Insert" | "Delete") => held != 0,
            Some("Copy" | "Paste" | "Cut") => true,
            _ => false,
        }
}

/// The events of a key, or of a combination: `Enter`, `Control+A`, `x`.
pub(crate) fn chord(keys: &str) -> Result<Vec<DispatchKeyEventParams>, String> {
    let unknown =
        || format!("there is no key \"{keys}\"; keys are called like Enter, Tab, ArrowDown, a, Control+A");
    let mut parts: Vec<&str> = keys.split('+').collect();
    // The plus sign itself is a key.
    if keys == "+" || keys.ends_with("++") {
        parts.truncate(parts.len().saturating_sub(2));
        parts.push("+");
    }
    let last = parts.pop().ok_or_else(unknown)?;
    let mut held = 0;
    for part in parts {
        held |= MODIFIERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(part)).ok_or_else(unknown)?.1;
    }
    let named = match last {
        "Space" | "space" => " ",
        "Esc" => "Escape",
        "Return" => "Enter",
        "Up" => "ArrowUp",
        "Down" => "ArrowDown",
        "Left" => "ArrowLeft",
        "Right" => "ArrowRight",
        other => other,
    };
    let key = get_key_definition(named)
        .or_else(|| {
            let mut letters = named.chars();
            let capital: String = letters.next()?.to_uppercase().chain(letters).collect();
            get_key_definition(capital)
        })
        .ok_or_else(unknown)?;
    let printable =
        key.text.or(Some(key.key)).filter(|text| text.chars().count() == 1 && held.trailing_zeros() >= 3);
    let event = |kind: DispatchKeyEventType| {
        let mut event = DispatchKeyEventParams::new(kind);
        event.modifiers = Some(held);
        event.key = Some(key.key.to_owned());
        event.code = Some(key.code.to_owned());
        event.windows_virtual_key_code = Some(key.key_code);
        event
    };
    let text = if key.key == "Enter" { Some("\r") } else { printable };
    let mut down =
        event(if text.is_some() { DispatchKeyEventType::KeyDown } else { DispatchKeyEventType::RawKeyDown });
    down.text = text.map(str::to_owned);
    if held & 0b10 != 0 {
        let lower = key.key.to_ascii_lowercase();
        let commands = COMMANDS.iter().filter(|(letter, _)| *letter == lower);
        down.commands = Some(commands.map(|(_, command)| (*command).to_owned()).collect());
    }
    Ok(vec![down, event(DispatchKeyEventType::KeyUp)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_their_usual_names() {
        for name in [
            "Enter",
            "enter",
            "Tab",
            "Esc",
            "ArrowLeft",
            "Left",
            "a",
            "A",
            "7",
            "Space",
            "Control+A",
            "+",
            "Ctrl++",
        ] {
            let strokes = chord(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(strokes.len(), 2, "{name}");
        }
        for name in ["", "Nonsense", "Super+A", "Control+"] {
            assert!(chord(name).is_err(), "{name}");
        }
        let select = chord("Control+A").unwrap().remove(0);
        assert_eq!((select.modifiers, select.text), (Some(2), None));
        assert_eq!(select.commands, Some(vec!["selectAll".to_owned()]));
        let clipboard = |keys: &str| chord(keys).unwrap().iter().any(uses_clipboard);
        for (keys, uses) in [
            ("Control+v", true),
            ("Ctrl+Shift+V", true),
            ("Control+x", true),
            ("Shift+Insert", true),
            ("Control+Insert", true),
            ("Shift+Delete", true),
            ("Delete", false),
            ("Control+a", false),
            ("v", false),
        ] {
            assert_eq!(clipboard(keys), uses, "{keys}");
        }
    }
}
