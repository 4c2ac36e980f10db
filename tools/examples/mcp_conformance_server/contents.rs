//! The resources and prompts that the suite reads.

use rmcp::ErrorData;
use rmcp::model::{
    ContentBlock, GetPromptResult, ImageContent, Prompt, PromptArgument, PromptMessage, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate, Role,
};
use serde_json::{Map, Value, json};

/// A red pixel.
pub const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// A moment of silence.
pub const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const TEMPLATE: (&str, &str) = ("test://template/", "/data");

/// A text as a resource.
pub fn text(uri: &str, mime: &str, text: &str) -> ResourceContents {
    ResourceContents::TextResourceContents {
        uri: uri.into(),
        mime_type: Some(mime.into()),
        text: text.into(),
        meta: None,
    }
}

pub fn resources() -> Vec<Resource> {
    vec![
        Resource::new(TEXT, "Static Text Resource").with_description("a text").with_mime_type("text/plain"),
        Resource::new(BINARY, "Static Binary Resource").with_description("bytes").with_mime_type("image/png"),
    ]
}

pub fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(format!("{}{{id}}{}", TEMPLATE.0, TEMPLATE.1), "Dynamic Resource")
            .with_description("a text with something put in")
            .with_mime_type("application/json"),
    ]
}

pub fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = match uri {
        TEXT => text(uri, "text/plain", "This is the content of the static text resource."),
        BINARY => ResourceContents::BlobResourceContents {
            uri: uri.into(),
            mime_type: Some("image/png".into()),
            blob: IMAGE.into(),
            meta: None,
        },
        _ => {
            let id = uri.strip_prefix(TEMPLATE.0).and_then(|rest| rest.strip_suffix(TEMPLATE.1));
            let id = id.ok_or_else(|| {
                ErrorData::resource_not_found(format!("there is no `{uri}`"), Some(json!({"uri": uri})))
            })?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            text(uri, "application/json", &data.to_string())
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

pub fn prompts() -> Vec<Prompt> {
    let argument =
        |name: &str, required| PromptArgument::new(name).with_description("anything").with_required(required);
    let prompt = |name: &str, about: &str, arguments| Prompt::new(name, Some(about), arguments);
    vec![
        prompt("test_simple_prompt", "one without arguments", None),
        prompt(
            "test_prompt_with_arguments",
            "one with arguments",
            Some(vec![argument("arg1", true), argument("arg2", false)]),
        ),
        prompt(
            "test_prompt_with_embedded_resource",
            "one with a resource in it",
            Some(vec![argument("resourceUri", true)]),
        ),
        prompt("test_prompt_with_image", "one with an image in it", None),
        prompt("test_input_required_result_prompt", "one that needs to know something first", None),
    ]
}

pub fn prompt(name: &str, arguments: &Map<String, Value>) -> Result<GetPromptResult, ErrorData> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let says = |text: String| PromptMessage::new_text(Role::User, text);
    let messages = match name {
        "test_simple_prompt" => vec![says("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![says(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let uri = Some(argument("resourceUri")).filter(|uri| !uri.is_empty()).unwrap_or(TEXT);
            let resource = text(uri, "text/plain", "Embedded resource content for testing.");
            vec![
                PromptMessage::new(Role::User, ContentBlock::resource(resource)),
                says("Please process the embedded resource above.".to_owned()),
            ]
        }
        "test_prompt_with_image" => {
            let image = ContentBlock::Image(ImageContent::new(IMAGE, "image/png"));
            vec![PromptMessage::new(Role::User, image), says("Please analyze the image above.".to_owned())]
        }
        _ => return Err(ErrorData::invalid_params(format!("there is no prompt `{name}`"), None)),
    };
    Ok(GetPromptResult::new(messages))
}
