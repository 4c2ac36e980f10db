//! The script that reads pages: its isolated world, and what only the DevTools protocol can show it.

use crate::BrowserError;
use crate::page::{LOAD_TIMEOUT, Page};
use chromiumoxide::cdp::browser_protocol::dom::{
    DescribeNodeParams, Node, ResolveNodeParams, ShadowRootType,
};
use chromiumoxide::cdp::browser_protocol::page::CreateIsolatedWorldParams;
use chromiumoxide::cdp::js_protocol::runtime::{
    CallArgument, CallFunctionOnParams, EvaluateParams, ExecutionContextId, ReleaseObjectGroupParams,
    RemoteObjectId,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Script that observes pages and finds elements. A page is data: nothing in it may replace the script's functions, so their
/// names live in a scope of their own.
pub(crate) const SCRIPT: &str = concat!(
    "(() => {\nif (Object.hasOwn(globalThis, \"sojourn\")) return;\n",
    include_str!("script/dom.js"),
    include_str!("script/geometry.js"),
    include_str!("script/words.js"),
    include_str!("script/look.js"),
    include_str!("script/find.js"),
    include_str!("script/change.js"),
    include_str!("script/settle.js"),
    include_str!("script/record.js"),
    include_str!("script/export.js"),
    "})();"
);
/// Name of the script's isolated world.
pub(crate) const WORLD: &str = "sojourn";
/// Name of the group of references to nodes, which are released together.
const OBJECTS: &str = "sojourn";
/// Limit on the elements that are examined for a closed shadow root at once.
const MAX_EXAMINED: u32 = 64;
/// Time limit of the examination of one element.
const EXAMINATION_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on the rounds in which one observation looks for closed shadow roots.
const MAX_NESTED: u32 = 4;

impl Page {
    pub(crate) async fn run(
        &self,
        expression: &str,
        world: Option<ExecutionContextId>,
    ) -> Result<Value, BrowserError> {
        let mut params = EvaluateParams::new(expression);
        params.return_by_value = Some(true);
        params.await_promise = Some(true);
        params.context_id = world;
        let done = self.execute(params).await?;
        if let Some(thrown) = done.exception_details {
            let words = thrown.exception.and_then(|thrown| thrown.description).unwrap_or(thrown.text);
            return Err(BrowserError::Program(words.lines().next().unwrap_or_default().to_owned()));
        }
        Ok(done.result.value.unwrap_or(Value::Null))
    }

    /// Evaluates an expression in the script's isolated world, again if the document changes meanwhile.
    pub(crate) async fn run_script(&mut self, expression: &str) -> Result<Value, BrowserError> {
        let begun = Instant::now();
        loop {
            let tried = match self.world().await {
                Ok(world) => self.run(expression, Some(world)).await,
                Err(error) => Err(error),
            };
            match tried {
                // The document is being replaced.
                Err(BrowserError::Refused(_)) if begun.elapsed() < LOAD_TIMEOUT && !self.is_gone() => {
                    self.world = None;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(BrowserError::Program(words)) if words.contains("Execution context was destroyed") => {
                    self.world = None;
                }
                other => return other,
            }
        }
    }

    async fn world(&mut self) -> Result<ExecutionContextId, BrowserError> {
        if let Some(world) = self.world {
            return Ok(world);
        }
        let mut params = CreateIsolatedWorldParams::new(self.frame.clone());
        params.world_name = Some(WORLD.to_owned());
        let world = self.execute(params).await?.execution_context_id;
        self.run(SCRIPT, Some(world)).await?;
        let settings = json!({"ignored": self.ignored});
        self.run(&format!("sojourn.configure({settings})"), Some(world)).await?;
        self.world = Some(world);
        Ok(world)
    }

    /// The elements of the page. Before they are read, elements that may have a closed shadow root are examined, and then the
    /// elements inside the roots that were found. Those beyond the limits are examined at the next call.
    pub(crate) async fn see(&mut self) -> Result<Value, BrowserError> {
        for _ in 0..MAX_NESTED {
            let looked = self.run_script(&format!("sojourn.look({MAX_EXAMINED})")).await?;
            let Some(unknown) = looked.get("unknown").and_then(Value::as_u64) else { return Ok(looked) };
            for index in 0..unknown {
                match tokio::time::timeout(EXAMINATION_TIMEOUT, self.reveal(index)).await {
                    Ok(Err(error)) if error.is_gone() => return Err(error),
                    // The element may have gone meanwhile.
                    Ok(_) => {}
                    // The answer cannot be read, because of halves of characters in it. The page may have more of them.
                    Err(_) => break,
                }
            }
            self.execute(ReleaseObjectGroupParams::new(OBJECTS)).await?;
        }
        self.run_script("sojourn.see()").await
    }

    /// Shows the script the closed shadow root of an element, if it has one.
    async fn reveal(&mut self, index: u64) -> Result<(), BrowserError> {
        let Some(host) = self.object(&format!("sojourn.examine({index})")).await? else { return Ok(()) };
        let node = self.describe(&host).await?;
        let closed = |root: &&Node| root.shadow_root_type == Some(ShadowRootType::Closed);
        let Some(root) = node.shadow_roots.as_deref().unwrap_or_default().iter().find(closed) else {
            return Ok(());
        };
        let mut params = ResolveNodeParams::builder().backend_node_id(root.backend_node_id).build();
        params.execution_context_id = self.world;
        params.object_group = Some(OBJECTS.to_owned());
        let Some(root) = self.execute(params).await?.object.object_id else { return Ok(()) };
        let mut call = CallFunctionOnParams::new("function(host) { sojourn.reveal(host, this); }");
        call.object_id = Some(root);
        call.arguments = Some(vec![CallArgument::builder().object_id(host).build()]);
        self.execute(call).await.map(|_| ())
    }

    /// The node that an expression in the script's world yields, by reference.
    pub(crate) async fn object(&mut self, expression: &str) -> Result<Option<RemoteObjectId>, BrowserError> {
        let mut params = EvaluateParams::new(expression);
        params.context_id = Some(self.world().await?);
        params.object_group = Some(OBJECTS.to_owned());
        Ok(self.execute(params).await?.result.object_id)
    }

    /// The DevTools description of a node, with its shadow roots.
    pub(crate) async fn describe(&self, object: &RemoteObjectId) -> Result<Node, BrowserError> {
        let mut params = DescribeNodeParams::builder().object_id(object.clone()).build();
        params.depth = Some(1);
        params.pierce = Some(true);
        Ok(self.execute(params).await?.node)
    }
}
