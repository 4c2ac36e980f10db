//! A message on the desktop.

use super::{Addressees, Undelivered, command};
use serde_json::Value;
use sojourn_memory::Message;
use sojourn_tools::outside::terminal::one_line;

/// The variables by which `notify-send` finds the desktop.
const DESKTOP: [&str; 4] = ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY"];
/// Limit on the characters of the text; a desktop shows less.
const MOST_CHARACTERS: usize = 300;

pub(super) async fn deliver(addressees: &Addressees, message: &Message) -> Result<(), Undelivered> {
    let body: Value = serde_json::from_str(&message.new.body).unwrap_or_default();
    let text = body["text"].as_str().unwrap_or_default();
    let text: String = one_line(text).chars().take(MOST_CHARACTERS).collect();
    // Desktops read a few tags of HTML.
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let title = format!("Sojourn: {}", message.new.event);
    let line = ["notify-send", "--app-name=Sojourn", "--", &title, &text].map(str::to_owned);
    command::run(&line, &DESKTOP.map(str::to_owned), addressees, None).await
}
