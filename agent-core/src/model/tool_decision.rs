use serde::{Deserialize, Serialize};

/// The policy's decision about one call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolDecision {
    /// The tool's name.
    pub tool: String,
    /// Whether the call may be made.
    pub granted: bool,
    /// Who decided: "rule 2", "the user".
    pub by: String,
    /// Where a person decided: the SHA-256 (hex) of the call as it was shown. Only this call may be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The kept question that the answer belongs to, where the person was asked in another process. It is answered once, so one
    /// decision of a run names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}
