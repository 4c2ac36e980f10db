//! Actions on a page.

use serde::{Serialize, Serializer};
use serde_json::json;

/// One action on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageAction {
    /// Navigates to a URL.
    Open {
        /// An `http` or `https` URL, or a `file` URL if files are granted.
        url: String,
    },
    /// Presses and releases the left mouse button.
    Click {
        /// Element or point to click.
        target: Target,
    },
    /// Moves the pointer.
    Hover {
        /// Element or point to move to.
        target: Target,
    },
    /// Presses the left mouse button at one target and releases it at another.
    Drag {
        /// Where the drag starts.
        from: Target,
        /// Where the drag ends.
        to: Target,
    },
    /// Replaces the content of a text field.
    Type {
        /// The field.
        target: String,
        /// The new content.
        text: String,
    },
    /// Presses a key or a combination: `Enter`, `Control+A`.
    Press {
        /// The key's name.
        key: String,
    },
    /// Selects an option of a list.
    Select {
        /// The list.
        target: String,
        /// Label of the option.
        option: String,
    },
    /// Selects text, as by dragging the pointer over it.
    Mark {
        /// The element that contains the text.
        target: String,
        /// The text; empty for all text of the element.
        text: String,
    },
    /// Scrolls the page or a scrollable ancestor of an element.
    Scroll {
        /// The element; empty for the page.
        target: String,
        /// Distance in pixels; negative is up.
        down: i64,
    },
    /// Reads all text of the page.
    Read,
    /// Goes back in the tab's history.
    Back,
    /// Waits.
    Wait {
        /// Duration in milliseconds.
        ms: u32,
    },
    /// Decides how the next dialog of the page is answered.
    Answer {
        /// Whether to accept it.
        accept: bool,
        /// Input for a prompt dialog.
        text: String,
    },
}

/// An element of the page, or a point on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Id or name of an element.
    Named(String),
    /// Offset from the left and top of the viewport, in pixels.
    Point(i64, i64),
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(name) => serializer.serialize_str(name),
            Self::Point(x, y) => json!({"x": x, "y": y}).serialize(serializer),
        }
    }
}
