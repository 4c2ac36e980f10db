//! The server's side of OpenAI's protocol: what bodies become, and what replies become.

use proptest::prelude::*;
use serde_json::{Value, json};
use sojourn_controller::chat_api::{ApiError, ChatAnswer, ChatRequest, EmbeddingRequest, Head, Limits};
use sojourn_controller::{
    Completion, Constraint, EmbedderInfo, Embeddings, Finish, Piece, Priority, Reply, Role, Sampling, Timing,
    Usage,
};

const LIMITS: Limits = Limits { most_answers: 4, context_tokens: Some(16_384), seed: 7, sees: false };

fn read(body: &Value) -> Result<ChatRequest, ApiError> {
    read_within(body, LIMITS)
}

fn read_within(body: &Value, limits: Limits) -> Result<ChatRequest, ApiError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ChatRequest::read(body.to_string().as_bytes(), limits))
}

/// A request for an answer to "hello", with further parameters.
fn asked(parameters: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]});
    for (name, value) in parameters.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn weather_and_time(parameters: &Value) -> Value {
    let place = json!({"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}}, "required": ["city"],
        "additionalProperties": false, "$defs": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}});
    let mut body = asked(&json!({"tools": [
        {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": place}},
        {"type": "function", "function": {"name": "time"}},
    ]}));
    for (name, value) in parameters.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn reply(texts: &[(&str, Finish)]) -> Reply {
    let candidates = texts.iter().map(|(text, finish)| Completion::new((*text).into(), 3, finish.clone()));
    let usage = Usage {
        prompt_tokens: 20,
        cached_tokens: 16,
        completion_tokens: 3,
        accepted_draft_tokens: 1,
        ..Usage::default()
    };
    Reply::new(candidates.collect(), usage, Timing::default())
}

fn answer(request: &ChatRequest) -> ChatAnswer {
    let head = Head { id: "chatcmpl-1".into(), created: 5, model: "m".into() };
    ChatAnswer::new(request, head)
}

const CALL: &str = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";

#[test]
fn a_plain_request_has_the_defaults_of_the_protocol() {
    let read = read(&asked(&json!({}))).unwrap();
    assert_eq!((read.model.as_str(), read.stream, read.include_usage), ("m", false, false));
    let request = read.request;
    assert_eq!(request.sampling, Sampling { temperature: 1.0, top_p: 1.0, min_p: 0.0, seed: 7 });
    assert_eq!((request.candidates, request.max_tokens, request.priority), (1, 2048, Priority::Acting));
    assert_eq!(request.constraint, Constraint::text());
    assert_eq!((request.messages[0].role, request.messages[0].text()), (Role::User, "hello".into()));
}

#[test]
fn parameters_are_carried_out() {
    let read = read(&asked(&json!({
        "temperature": 0, "top_p": 0.5, "seed": -1, "max_completion_tokens": 9, "n": 3, "stop": "\n",
        "service_tier": "flex", "stream": true, "stream_options": {"include_usage": true},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "integer"}}},
        "user": "ada", "metadata": {"a": "b"}, "logprobs": false, "presence_penalty": 0, "frequency_penalty": 0.0, "tools": null,
    })))
    .unwrap();
    let request = read.request;
    assert_eq!(request.sampling, Sampling { temperature: 0.0, top_p: 0.5, min_p: 0.0, seed: u64::MAX });
    assert_eq!((request.candidates, request.max_tokens, request.stop), (3, 9, vec!["\n".to_owned()]));
    assert_eq!(request.priority, Priority::Background);
    assert_eq!(request.constraint, Constraint::JsonSchema(json!({"type": "integer"})));
    assert!(read.stream && read.include_usage);
}

#[test]
fn an_answer_without_a_limit_leaves_room_for_the_prompt() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = asked(&json!({"n": 4})).to_string();
    let limits = Limits { context_tokens: Some(1024), ..LIMITS };
    let read = runtime.block_on(ChatRequest::read(body.as_bytes(), limits)).unwrap();
    assert_eq!(read.request.max_tokens, 128);
}

#[test]
fn what_cannot_be_carried_out_is_refused_by_name() {
    let object = json!({"type": "object"});
    let tool = json!([{"type": "function", "function": {"name": "a"}}]);
    for (parameters, param) in [
        (json!({"logit_bias": {"5": 100}}), "logit_bias"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"presence_penalty": 0.5}), "presence_penalty"),
        (json!({"reasoning_effort": "high"}), "reasoning_effort"),
        (json!({"store": true}), "store"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"invented": 1}), "invented"),
        (json!({"n": 5}), "n"),
        (json!({"n": 0}), "n"),
        (json!({"temperature": 2.5}), "temperature"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 5, "max_completion_tokens": 6}), "max_tokens"),
        (json!({"stop": [""]}), "stop"),
        (json!({"seed": 0.5}), "seed"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options"),
        (json!({"stream": true, "stream_options": {"other": 1}}), "stream_options.other"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}}),
            "response_format.json_schema.schema",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [{"type": "custom"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}), "tools[0].function.name"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "string"}}}]}),
            "tools[0].function.parameters",
        ),
        (
            json!({"tools": tool, "tool_choice": {"type": "function", "function": {"name": "b"}}}),
            "tool_choice",
        ),
        (json!({"tools": tool, "grammar": "%llguidance {}\nstart: \"a\""}), "grammar"),
        (json!({"grammar": "root ::= \"a\""}), "grammar"),
        (json!({"add_generation_prompt": false}), "add_generation_prompt"),
        (json!({"continue_final_message": true}), "continue_final_message"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "robot", "content": "a"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user", "name": "ada", "content": "a"}]}), "messages[0].name"),
        (
            json!({"messages": [{"role": "tool", "tool_call_id": "1", "content": "a"}]}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
            "messages[0].content[0].type",
        ),
    ] {
        let error = read(&asked(&parameters)).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{parameters}: {error}");
        assert!(error.message.contains(&format!("`{param}`")), "{error}");
        assert_eq!(error.body()["error"]["type"], "invalid_request_error");
    }
    let error = read(&json!([])).unwrap_err();
    assert_eq!((error.status, error.param), (400, None));
    assert!(
        read(&asked(&json!({"response_format": {"type": "json_schema", "json_schema": {"schema": object}}})))
            .is_ok()
    );
}

#[test]
fn pictures_of_the_user_are_shown_where_they_stand() {
    let seeing = |content: Value, role: &str| {
        let body = asked(&json!({"messages": [{"role": role, "content": content}]}));
        read_within(&body, Limits { sees: true, ..LIMITS })
    };
    let shown = |url: &str| json!({"type": "image_url", "image_url": {"url": url, "detail": "low"}});
    let (gif, png) = ("data:image/gif;base64,R0lGODlh", "DATA:IMAGE/PNG; charset=x; Base64,iVBORw==");
    let text = |text: &str| json!({"type": "text", "text": text});
    let content =
        json!([text("Which"), text(" is it?"), shown(gif), shown(png), text("Or this?"), shown(gif)]);
    let read = seeing(content, "user").unwrap().request;
    let parts = &read.messages[0].parts;
    let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
    assert_eq!(texts, ["Which is it?", "", "", "Or this?", ""]);
    let blobs: Vec<Option<&str>> =
        parts.iter().map(|part| part.picture.as_ref().map(|picture| picture.blob.as_str())).collect();
    assert_eq!(read.pictures.len(), 2, "equal pictures are one");
    assert_eq!(blobs[1], blobs[4]);
    assert_eq!(*read.pictures[blobs[1].unwrap()], *b"GIF89a");
    assert_eq!(*read.pictures[blobs[2].unwrap()], *b"\x89PNG");
    assert_eq!(parts[2].picture.as_ref().unwrap().mime, "image/png");

    let many: Vec<Value> = (0..17).map(|_| shown(gif)).collect();
    for (content, role, param) in [
        (json!([shown("https://example.com/a.png")]), "user", "image_url.url"),
        (json!([shown("data:text/html;base64,PGI+")]), "user", "image_url.url"),
        (json!([shown("data:image/png,raw")]), "user", "image_url.url"),
        (json!([shown("data:image/png;base64,%%%")]), "user", "image_url.url"),
        (json!([{"type": "image_url", "image_url": gif}]), "user", "image_url"),
        (json!([{"type": "image_url"}]), "user", "image_url"),
        (json!([{"type": "input_audio", "input_audio": {}}]), "user", "type"),
        (json!([shown(gif)]), "system", "type"),
    ] {
        let error = seeing(content, role).unwrap_err();
        assert_eq!(error.param, Some(format!("messages[0].content[0].{param}")), "{error}");
    }
    let error = seeing(Value::Array(many), "user").unwrap_err();
    assert_eq!(error.param.as_deref(), Some("messages[0].content[16].image_url"), "{error}");
}

#[test]
fn a_conversation_with_calls_is_told_in_the_words_of_the_model() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}});
    let messages = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Rome"}, {"type": "text", "text": "?"}]},
        {"role": "assistant", "content": null, "refusal": null, "annotations": [], "audio": null, "function_call": null,
         "tool_calls": [call("1", "{\"city\": \"Rome\"}"), call("2", "{}")]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "2", "content": "rain"},
    ]);
    let mut body = weather_and_time(&json!({}));
    body["messages"] = messages;
    let told = read(&body).unwrap().request.messages;
    let roles: Vec<Role> = told.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User]);
    let system = told[0].text();
    assert!(system.starts_with("Be brief.\n\n# Tools"), "{system}");
    assert!(
        system.contains("\n{\"type\":\"function\",\"function\":{\"name\":\"time\"}}\n</tools>"),
        "{system}"
    );
    assert_eq!(told[1].text(), "Rome?");
    assert_eq!(
        told[2].text(),
        format!("{CALL}\n<tool_call>\n{{\"name\": \"weather\", \"arguments\": {{}}}}\n</tool_call>")
    );
    assert_eq!(
        told[3].text(),
        "<tool_response>\nsunny\n</tool_response>\n<tool_response>\nrain\n</tool_response>"
    );
}

#[test]
fn the_last_message_can_be_continued() {
    let mut body = asked(&json!({"continue_final_message": true, "add_generation_prompt": false}));
    body["grammar"] = "%llguidance {}\nstart: \"b\"".into();
    body["messages"].as_array_mut().unwrap().push(json!({"role": "assistant", "content": "a"}));
    let request = read(&body).unwrap().request;
    assert_eq!((request.prefill.as_str(), request.messages.len()), ("a", 1));
    assert_eq!(request.constraint, Constraint::Lark("start: \"b\"".into()));
}

#[test]
fn the_choice_of_tools_decides_what_an_answer_may_be() {
    let time = CALL.replace("weather", "time").replace("{\"city\": \"Rome\"}", "{}");
    let both = format!("{CALL}\n{time}");
    let after_text = format!("Let me see. {CALL}");
    let wrong = CALL.replace("Rome", "Oslo");
    let other = CALL.replace("weather", "stocks");
    let named = json!({"tool_choice": {"type": "function", "function": {"name": "time"}}});
    let in_json = json!({"response_format": {"type": "json_object"}});
    for (parameters, good, bad) in [
        (
            json!({}),
            vec![CALL, &both, &after_text, "Just text.", "", "a <tool_call> in words"],
            vec![wrong.as_str(), &other],
        ),
        (json!({"tool_choice": "required"}), vec![CALL, &both], vec!["Just text.", &after_text, &wrong]),
        (json!({"parallel_tool_calls": false}), vec![CALL, "Just text."], vec![&both]),
        (named, vec![&time], vec![CALL, "Just text."]),
        (json!({"tool_choice": "none"}), vec!["Just text."], vec![]),
        (in_json, vec![CALL, "{\"a\": 1}"], vec!["Just text.", &after_text]),
    ] {
        let constraint = read(&weather_and_time(&parameters)).unwrap().request.constraint;
        for text in good {
            let checked = constraint.check(text);
            assert!(checked.is_ok(), "{parameters}: {text}: {checked:?}");
        }
        for text in bad {
            assert!(constraint.check(text).is_err(), "{parameters}: {text}");
        }
    }
}

#[test]
fn an_answer_has_its_calls_apart_from_its_text() {
    let request = read(&weather_and_time(&json!({"n": 4}))).unwrap();
    let text = format!("Let me see. {CALL}\n{CALL}");
    let cut = format!("{CALL}\n<tool_call>\n{{\"name\": \"time\", \"argum");
    let reply = reply(&[
        (&text, Finish::Complete),
        (CALL, Finish::Complete),
        (&cut, Finish::Length),
        ("", Finish::Refused("no".into())),
    ]);
    let whole = answer(&request).whole(&reply);
    let choice = |index: usize| &whole["choices"][index];
    assert_eq!(choice(0)["message"]["content"], "Let me see. ");
    assert_eq!(choice(0)["finish_reason"], "tool_calls");
    let calls = choice(0)["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(calls[0]["function"], json!({"name": "weather", "arguments": "{\"city\": \"Rome\"}"}));
    assert_eq!(choice(1)["message"]["content"], Value::Null);
    assert_eq!(choice(2)["message"]["tool_calls"].as_array().unwrap().len(), 1);
    assert_eq!(choice(2)["finish_reason"], "length");
    assert_eq!(
        (&choice(3)["message"]["refusal"], &choice(3)["message"]["content"]),
        (&json!("no"), &json!(""))
    );
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23, "prompt_tokens_details": {"cached_tokens": 16}});
    assert_eq!(whole["usage"], usage);
}

/// The content and the calls that a client puts together from a stream of one answer.
fn assembled(request: &ChatRequest, text: &str, cuts: &[usize]) -> (String, Vec<Value>, String) {
    let mut writer = answer(request);
    let mut chunks = writer.opening();
    let mut from = 0;
    for &cut in cuts.iter().filter(|cut| text.is_char_boundary(**cut)) {
        if cut > from {
            let piece = Piece { candidate: 0, text: text[from..cut].into() };
            chunks.extend(writer.piece(&piece));
            from = cut;
        }
    }
    chunks.extend(writer.closing(&reply(&[(text, Finish::Complete)])));
    let (mut content, mut calls, mut finish) = (String::new(), Vec::new(), String::new());
    for chunk in chunks {
        let choice = &chunk["choices"][0];
        content.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        calls.extend(choice["delta"]["tool_calls"].as_array().cloned().unwrap_or_default());
        finish.push_str(choice["finish_reason"].as_str().unwrap_or_default());
    }
    (content, calls, finish)
}

#[test]
fn no_beginning_of_a_call_is_streamed_as_text() {
    let request = read(&weather_and_time(&json!({"stream": true}))).unwrap();
    let mut writer = answer(&request);
    let mut sent = Vec::new();
    for text in ["See", " <tool", "_call>\n{\"name", "\": "] {
        let chunk = writer.piece(&Piece { candidate: 0, text: text.into() });
        sent.extend(chunk.map(|chunk| chunk["choices"][0]["delta"]["content"].clone()));
    }
    assert_eq!(sent, ["See", " "]);
}

#[test]
fn usage_comes_last_where_it_is_asked_for() {
    let request = read(&asked(&json!({"stream": true, "stream_options": {"include_usage": true}}))).unwrap();
    let writer = answer(&request);
    let chunks = writer.closing(&reply(&[("hi", Finish::Stopped("x".into()))]));
    let (last, before) = chunks.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(23)));
    assert!(before.iter().all(|chunk| chunk["usage"].is_null()));
    assert_eq!(before.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

proptest! {
    #[test]
    fn a_stream_says_the_same_as_a_whole_answer(
        lead in "[a<ü\n]{0,6}(<tool)?",
        calls in 0_usize..3,
        mut cuts in proptest::collection::vec(0_usize..200, 0..30),
    ) {
        let request = read(&weather_and_time(&json!({"stream": true}))).unwrap();
        let text = format!("{lead}{}", vec![CALL; calls].join("\n"));
        cuts.retain(|cut| *cut <= text.len());
        cuts.sort_unstable();
        let whole = answer(&request).whole(&reply(&[(&text, Finish::Complete)]));
        let message = &whole["choices"][0]["message"];
        let (content, streamed, finish) = assembled(&request, &text, &cuts);
        prop_assert_eq!(&content, message["content"].as_str().unwrap_or_default());
        prop_assert_eq!(content, lead);
        prop_assert_eq!(finish, whole["choices"][0]["finish_reason"].as_str().unwrap());
        prop_assert_eq!(streamed.len(), calls);
        for (streamed, whole) in streamed.iter().zip(message["tool_calls"].as_array().into_iter().flatten()) {
            prop_assert_eq!(&streamed["id"], &whole["id"]);
            prop_assert_eq!(&streamed["function"], &whole["function"]);
        }
    }

    #[test]
    fn whatever_the_grammar_allows_is_read_back_as_calls(seed: u64) {
        let request = read(&weather_and_time(&json!({"tool_choice": "required"}))).unwrap();
        if let Some(text) = request.request.constraint.random_answer(seed, 400).unwrap() {
            let whole = answer(&request).whole(&reply(&[(&text, Finish::Complete)]));
            let message = &whole["choices"][0]["message"];
            prop_assert_eq!(&message["content"], &Value::Null);
            let calls = message["tool_calls"].as_array().unwrap();
            prop_assert_eq!(calls.len(), text.matches("</tool_call>").count());
            for call in calls {
                let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
                match call["function"]["name"].as_str().unwrap() {
                    "weather" => prop_assert!(["Paris", "Rome"].contains(&arguments["city"].as_str().unwrap())),
                    name => prop_assert_eq!((name, arguments), ("time", json!({}))),
                }
            }
        }
    }
}

fn embedder() -> EmbedderInfo {
    EmbedderInfo { name: "MiniLM".into(), dimensions: 2, max_tokens: 10 }
}

#[test]
fn vectors_are_lists_or_base64() {
    let embedded = Embeddings { vectors: vec![vec![0.5, -1.0], vec![1.0, 0.0]], tokens: Some(vec![3, 4]) };
    let read = |body: Value| EmbeddingRequest::read(body.to_string().as_bytes()).unwrap();
    let plain = read(json!({"model": "e", "input": ["a", "b"], "user": "ada"}));
    assert_eq!(plain.texts, ["a", "b"]);
    let answer = plain.answer("e", &embedder(), &embedded).unwrap();
    assert_eq!(answer["data"][0]["embedding"], json!([0.5, -1.0]));
    assert_eq!((&answer["data"][1]["index"], &answer["usage"]["prompt_tokens"]), (&json!(1), &json!(7)));
    let coded = read(json!({"model": "e", "input": "a", "encoding_format": "base64", "dimensions": 2}));
    coded.check(&embedder()).unwrap();
    // The bytes of 0.5 and -1.0 in IEEE 754, little-endian: 0000003f 000080bf.
    assert_eq!(coded.answer("e", &embedder(), &embedded).unwrap()["data"][0]["embedding"], "AAAAPwAAgL8=");
}

#[test]
fn texts_that_cannot_be_embedded_as_a_whole_are_refused() {
    for (input, fault) in [
        (json!([]), "1 to 2048"),
        (json!(""), "empty"),
        (json!([1, 2]), "numbers of tokens"),
        (json!([[1, 2]]), "numbers of tokens"),
        (json!({}), "a text or a list"),
    ] {
        let body = json!({"model": "e", "input": input}).to_string();
        let error = EmbeddingRequest::read(body.as_bytes()).unwrap_err();
        assert!(error.message.contains(fault), "{error}");
    }
    let body = json!({"model": "e", "input": ["a", "b"], "dimensions": 1}).to_string();
    let request = EmbeddingRequest::read(body.as_bytes()).unwrap();
    assert_eq!(request.check(&embedder()).unwrap_err().param.as_deref(), Some("dimensions"));
    let embedded = Embeddings { vectors: vec![vec![1.0, 0.0]; 2], tokens: Some(vec![3, 11]) };
    let error = request.answer("e", &embedder(), &embedded).unwrap_err();
    assert_eq!((error.param.as_deref(), error.code), (Some("input[1]"), Some("context_length_exceeded")));
}
