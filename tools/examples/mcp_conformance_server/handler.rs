//! The server's request handler, which dispatches to the other modules.

use super::subscribers::Subscribers;
use super::{asking, contents, rounds, tasks, tools};
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
    CompleteResult, CompletionInfo, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams,
    GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, Reference,
    ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::{RoleServer, ServerHandler};

/// How long clients may keep lists, in milliseconds.
const KEEP: u64 = 60_000;

type Context = RequestContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

/// A server with every feature of the protocol.
#[derive(Clone)]
pub struct Everything {
    /// Clients that subscribed to changes.
    pub subscribers: Subscribers,
    tasks: TaskManager,
}

impl Everything {
    pub fn new() -> Self {
        Self { subscribers: Subscribers::default(), tasks: TaskManager::new() }
    }
}

impl ServerHandler for Everything {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("sojourn-conformance", env!("CARGO_PKG_VERSION")))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let _listening = self.subscribers.add(context.sink().clone());
        context.cancelled().await;
        Ok(())
    }

    async fn list_tools(&self, _: Page, _: Context) -> Result<ListToolsResult, ErrorData> {
        let listed = ListToolsResult { tools: tools::all(), ..ListToolsResult::default() };
        Ok(listed.with_ttl_ms(KEEP).with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(answer) = rounds::call(&request, &context.meta) {
            return answer;
        }
        if let Some(answer) =
            Box::pin(tasks::call(&self.tasks, &request, context.client_capabilities().as_ref())).await
        {
            return answer;
        }
        let args = request.arguments.unwrap_or_default();
        if let Some(answer) = Box::pin(asking::call(&request.name, &args, &context)).await {
            return answer.map(Into::into);
        }
        tools::call(self, &request.name, &args, &context).await.map(Into::into)
    }

    async fn list_resources(&self, _: Page, _: Context) -> Result<ListResourcesResult, ErrorData> {
        let listed =
            ListResourcesResult { resources: contents::resources(), ..ListResourcesResult::default() };
        Ok(listed.with_ttl_ms(KEEP).with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _: Page,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let listed = ListResourceTemplatesResult {
            resource_templates: contents::templates(),
            ..ListResourceTemplatesResult::default()
        };
        Ok(listed.with_ttl_ms(KEEP).with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = contents::read(&request.uri)?;
        Ok(read.with_ttl_ms(KEEP).with_cache_scope(CacheScope::Public).into())
    }

    // Resources never change, so a subscription needs no bookkeeping.
    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn list_prompts(&self, _: Page, _: Context) -> Result<ListPromptsResult, ErrorData> {
        let listed = ListPromptsResult { prompts: contents::prompts(), ..ListPromptsResult::default() };
        Ok(listed.with_ttl_ms(KEEP).with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        if let Some(answer) = rounds::prompt(&request.name, request.input_responses.as_ref()) {
            return answer;
        }
        contents::prompt(&request.name, &request.arguments.unwrap_or_default()).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: Context,
    ) -> Result<CompleteResult, ErrorData> {
        let values = match &request.r#ref {
            Reference::Prompt(_) => ["paris", "park", "party"].map(str::to_owned).to_vec(),
            _ => Vec::new(),
        };
        let values = values.into_iter().filter(|value| value.starts_with(&request.argument.value)).collect();
        let info = CompletionInfo::new(values).map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(info))
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}
