//! Who is told how far which call has got.

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

/// How a request is marked until it is sent; the server does not see it.
const CALL: &str = "sojourn/call";

type Sink = Arc<dyn Fn(CallProgress) + Send + Sync>;

/// The calls under way at one server. rmcp gives each request a token when it sends it, and a call may take several requests:
/// which token is which call's is known only there.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    last: u64,
    sinks: BTreeMap<u64, Sink>,
    tokens: HashMap<ProgressToken, u64>,
}

impl Progress {
    /// Tells `sink` how far a call has got until what is returned is dropped.
    pub fn listen(&self, sink: Sink) -> Listening {
        let mut calls = self.calls();
        calls.last += 1;
        let call = calls.last;
        calls.sinks.insert(call, sink);
        Listening { progress: self.clone(), call }
    }

    /// A request is about to be sent.
    fn sends(&self, request: &mut ClientRequest) {
        let ClientRequest::CallToolRequest(asked) = request else { return };
        let Some(call) = asked.params.meta.as_mut().and_then(|meta| meta.remove(CALL)) else { return };
        let token = request.get_meta().get_progress_token();
        if let Some((call, token)) = call.as_u64().zip(token) {
            self.calls().tokens.insert(token, call);
        }
    }

    /// The server says how far it has got.
    fn told(&self, told: &ProgressNotificationParam) {
        let sink = {
            let calls = self.calls();
            calls.tokens.get(&told.progress_token).and_then(|call| calls.sinks.get(call)).cloned()
        };
        if let Some(sink) = sink {
            sink(CallProgress { done: told.progress, total: told.total, message: told.message.clone() });
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as it lives progress is told.
pub struct Listening {
    progress: Progress,
    call: u64,
}

impl Listening {
    /// What marks the requests of the call.
    pub fn mark(&self) -> RequestMetaObject {
        let mut meta = RequestMetaObject::new();
        meta.insert(CALL.to_owned(), self.call.into());
        meta
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut calls = self.progress.calls();
        calls.sinks.remove(&self.call);
        calls.tokens.retain(|_, call| *call != self.call);
    }
}

/// A transport that tells of progress as it arrives: in order, and before the answer.
pub struct Telling<T> {
    pub transport: T,
    pub progress: Progress,
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Telling<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        mut message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        if let ClientJsonRpcMessage::Request(request) = &mut message {
            self.progress.sends(&mut request.request);
        }
        self.transport.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let message = self.transport.receive().await?;
        if let ServerJsonRpcMessage::Notification(told) = &message
            && let ServerNotification::ProgressNotification(told) = &told.notification
        {
            self.progress.told(&told.params);
        }
        Some(message)
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        self.transport.close().await
    }
}
