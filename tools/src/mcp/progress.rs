//! Routes MCP progress notifications to the calls that they belong to.

use super::lenient::Waiting;
use crate::CallProgress;
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, GetMeta as _, ProgressNotificationParam, ProgressToken, RequestId,
    RequestMetaObject, ServerJsonRpcMessage, ServerNotification,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Metadata key that marks a request until it is sent; the server never sees it.
const CALL: &str = "sojourn/call";

type Sink = Arc<dyn Fn(CallProgress) + Send + Sync>;

/// The calls in progress at one server. rmcp assigns a progress token to each request when it sends it, and a
/// call may take several requests. Only the transport sees both the token and the call.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    last: u64,
    sinks: BTreeMap<u64, Sink>,
    tokens: HashMap<ProgressToken, u64>,
}

impl Progress {
    /// Delivers the progress of one call to `sink` until the returned subscription is dropped.
    pub fn listen(&self, sink: Sink) -> ProgressSubscription {
        let mut calls = self.calls();
        calls.last += 1;
        let call = calls.last;
        calls.sinks.insert(call, sink);
        ProgressSubscription { progress: self.clone(), call }
    }

    /// Called before a request is sent: maps its progress token to its call.
    fn register_request(&self, request: &mut ClientRequest) {
        let ClientRequest::CallToolRequest(asked) = request else { return };
        let Some(call) = asked.params.meta.as_mut().and_then(|meta| meta.remove(CALL)) else { return };
        let token = request.get_meta().get_progress_token();
        if let Some((call, token)) = call.as_u64().zip(token) {
            self.calls().tokens.insert(token, call);
        }
    }

    /// Delivers a progress notification to the sink of its call.
    fn deliver(&self, notification: &ProgressNotificationParam) {
        let sink = {
            let calls = self.calls();
            calls.tokens.get(&notification.progress_token).and_then(|call| calls.sinks.get(call)).cloned()
        };
        if let Some(sink) = sink {
            sink(CallProgress {
                done: notification.progress,
                total: notification.total,
                message: notification.message.clone(),
            });
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered progress sink. Dropping it removes the sink and its tokens.
pub struct ProgressSubscription {
    progress: Progress,
    call: u64,
}

impl ProgressSubscription {
    /// Metadata that marks the requests of the call.
    pub fn mark(&self) -> RequestMetaObject {
        let mut meta = RequestMetaObject::new();
        meta.insert(CALL.to_owned(), self.call.into());
        meta
    }
}

impl Drop for ProgressSubscription {
    fn drop(&mut self) {
        let mut calls = self.progress.calls();
        calls.sinks.remove(&self.call);
        calls.tokens.retain(|_, call| *call != self.call);
    }
}

/// A transport that delivers progress notifications as they arrive: in order, and before the response.
pub struct ProgressTransport<T> {
    transport: T,
    progress: Progress,
    /// Records every request that is sent, so that its answer can be repaired.
    waiting: Waiting,
    /// Finds the late answer of a slow server to a handshake that was given up.
    handshake: Handshake,
}

impl<T> ProgressTransport<T> {
    /// The transport of a session that begins.
    pub fn new(transport: T, progress: Progress, waiting: Waiting) -> Self {
        Self { transport, progress, waiting, handshake: Handshake::default() }
    }
}

/// The first request of a session, `server/discover`. rmcp gives it up after ten seconds and sends `initialize` instead. A
/// server that takes longer to start answers both, and rmcp would take the late answer for a wrong one to `initialize`.
#[derive(Default)]
struct Handshake {
    probe: Option<RequestId>,
    given_up: Option<RequestId>,
}

impl Handshake {
    /// Called before a request is sent.
    fn sent(&mut self, message: &ClientJsonRpcMessage) {
        let ClientJsonRpcMessage::Request(request) = message else { return };
        match &request.request {
            ClientRequest::DiscoverRequest(_) => self.probe = Some(request.id.clone()),
            ClientRequest::InitializeRequest(_) => self.given_up = self.probe.take(),
            _ => {}
        }
    }

    /// Whether a message answers the handshake that was given up.
    fn is_late(&mut self, message: &ServerJsonRpcMessage) -> bool {
        let answered = match message {
            ServerJsonRpcMessage::Response(response) => Some(&response.id),
            ServerJsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        let is_late = answered.is_some() && answered == self.given_up.as_ref();
        if is_late {
            self.given_up = None;
        }
        is_late
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for ProgressTransport<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        mut message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        if let ClientJsonRpcMessage::Request(request) = &mut message {
            self.progress.register_request(&mut request.request);
        }
        self.waiting.sent(&message);
        self.handshake.sent(&message);
        self.transport.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let mut message = self.transport.receive().await?;
        while self.handshake.is_late(&message) {
            message = self.transport.receive().await?;
        }
        if let ServerJsonRpcMessage::Notification(notification) = &message
            && let ServerNotification::ProgressNotification(progress) = &notification.notification
        {
            self.progress.deliver(&progress.params);
        }
        Some(message)
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        self.transport.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_that_starts_slowly_answers_the_handshake_that_was_given_up_too() {
        let request = |id: u32, method: &str, params: serde_json::Value| -> ClientJsonRpcMessage {
            serde_json::from_value(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .unwrap()
        };
        let answer = |id: u32| -> ServerJsonRpcMessage {
            let error = json!({"code": -32601, "message": "Method not found"});
            serde_json::from_value(json!({"jsonrpc": "2.0", "id": id, "error": error})).unwrap()
        };
        let client = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"},
        });
        let mut handshake = Handshake::default();
        handshake.sent(&request(0, "server/discover", json!({})));
        assert!(!handshake.is_late(&answer(0)), "it was not given up yet");
        handshake.sent(&request(1, "initialize", client));
        assert!(handshake.is_late(&answer(0)));
        assert!(!handshake.is_late(&answer(1)) && !handshake.is_late(&answer(0)));
    }
}
