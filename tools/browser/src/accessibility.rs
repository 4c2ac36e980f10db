//! The accessibility tree of Chromium, as a reference to compare an observation with.

use crate::BrowserError;
use crate::page::Page;
use chromiumoxide::cdp::browser_protocol::page::{FrameId, FrameTree, GetFrameTreeParams};
use chromiumoxide::types::{Command, Method, MethodId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// One node of the accessibility tree that Chromium shows to assistive programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessibleElement {
    /// Id of the same element in an observation; `None` if the observation has none for it.
    pub id: Option<String>,
    /// Role as Chromium names it, such as `button` or `StaticText`.
    pub role: String,
    /// Accessible name; may be empty.
    pub name: String,
    /// Whether assistive programs skip it.
    pub ignored: bool,
}

/// `Accessibility.getFullAXTree`. The generated types refuse properties that they do not know.
#[derive(Debug, Clone, Serialize)]
struct GetTree {
    #[serde(rename = "frameId")]
    frame: FrameId,
}

#[derive(Debug, Clone, Deserialize)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    ignored: bool,
    role: Option<Text>,
    name: Option<Text>,
    #[serde(rename = "backendDOMNodeId")]
    backend_id: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Text {
    value: Option<Value>,
}

impl Method for GetTree {
    fn identifier(&self) -> MethodId {
        "Accessibility.getFullAXTree".into()
    }
}

impl Command for GetTree {
    type Response = Tree;
}

impl Page {
    /// Chromium's accessibility tree of the page and its frames of the same process, in document order, with the ids that the
    /// last observation gave to the elements `ids`.
    ///
    /// # Errors
    /// The browser has died.
    pub async fn accessibility(&mut self, ids: &[String]) -> Result<Vec<AccessibleElement>, BrowserError> {
        let mut known = HashMap::new();
        for id in ids {
            let Some(object) = self.object(&format!("sojourn.element({})", Value::from(id.as_str()))).await?
            else {
                continue;
            };
            known.insert(*self.describe(&object).await?.backend_node_id.inner(), id.clone());
        }
        let mut frames = Vec::new();
        collect(&self.execute(GetFrameTreeParams::default()).await?.frame_tree, &mut frames);
        let mut elements = Vec::new();
        for frame in frames {
            // A frame of another process has a tree of its own, which belongs to another target.
            let tree = match self.execute(GetTree { frame }).await {
                Ok(tree) => tree,
                Err(BrowserError::Refused(_)) => continue,
                Err(error) => return Err(error),
            };
            elements.extend(tree.nodes.into_iter().map(|node| AccessibleElement {
                id: node.backend_id.and_then(|node| known.get(&node).cloned()),
                role: text(node.role),
                name: text(node.name),
                ignored: node.ignored,
            }));
        }
        Ok(elements)
    }
}

fn collect(tree: &FrameTree, frames: &mut Vec<FrameId>) {
    frames.push(tree.frame.id.clone());
    for child in tree.child_frames.iter().flatten() {
        collect(child, frames);
    }
}

fn text(text: Option<Text>) -> String {
    text.and_then(|text| text.value).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
