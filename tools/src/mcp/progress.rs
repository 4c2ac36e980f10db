//! Routes MCP progress notifications to the calls that they belong to.

use super::lenient::Waiting;
use crate::CallProgress;
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, GetMeta as _, ProgressNotificationParam, ProgressToken,
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
    pub transport: T,
    pub progress: Progress,
    /// Records every request that is sent, so that its answer can be repaired.
    pub waiting: Waiting,
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
        self.transport.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let message = self.transport.receive().await?;
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
