//! A skill in Rust, without a crate: greets whoever it is told of, as the tool `polish` likes it.

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    fn invocation(settings: *mut [u64; 3]) -> u32;
    fn take(to: *mut u8);
    fn call(name: *const u8, name_len: u32, args: *const u8, args_len: u32) -> u64;
    fn finish(status: u32, data: *const u8, len: u32);
}

/// What the host announced.
fn announced(length: u32) -> String {
    let mut bytes = vec![0; length as usize];
    unsafe { take(bytes.as_mut_ptr()) };
    String::from_utf8(bytes).unwrap_or_default()
}

/// Calls a tool; its answer as JSON, or its error message.
fn tool(name: &str, args: &str) -> Result<String, String> {
    let answer = unsafe { call(name.as_ptr(), name.len() as u32, args.as_ptr(), args.len() as u32) };
    let text = announced(answer as u32);
    if answer >> 32 & 1 == 0 { Ok(text) } else { Err(text) }
}

#[unsafe(no_mangle)]
pub extern "C" fn sojourn_call() {
    let mut settings = [0; 3];
    let invocation = announced(unsafe { invocation(&mut settings) });
    // The first argument, as the JSON it is: enough for a text without quotes in it.
    let name = invocation.split("\"args\":[\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("you");
    let (status, result) = match tool("polish", &format!("{{\"text\":\"Hello, {name}!\"}}")) {
        Ok(polished) => (0, polished),
        Err(message) => (1, format!("{{\"name\":\"ToolError\",\"message\":{message}}}")),
    };
    unsafe { finish(status, result.as_ptr(), result.len() as u32) };
}
