//! The server under test by the protocol's own conformance suite.
//!
//! The product's parts are those of `sojourn mcp --http`: the transport with its sessions and streams, the token, and the refusal of
//! requests that are addressed to other names or come from a page (`sojourn_tools::mcp::serve`). The tools, resources and prompts are
//! scaffolding: their names are the suite's, one for each part of the protocol. `sojourn mcp` has other tools, and sends no requests
//! to its clients.
//!
//! The token is the environment variable `CONFORMANCE_TOKEN`; the address is written as the first line of the output.

#![allow(deprecated, reason = "the newest protocol advises against what the suite still asks for")]

mod asking;
mod contents;
mod handler;
mod rounds;
mod subscribers;
mod tasks;
mod tools;

use handler::Everything;
use sojourn_tools::mcp::serve::{self, ServerAccess};
use std::process::ExitCode;

#[tokio::main]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "whoever starts it reads what it says")]
async fn main() -> ExitCode {
    let Ok(token) = std::env::var("CONFORMANCE_TOKEN") else {
        eprintln!("CONFORMANCE_TOKEN is not set");
        return ExitCode::FAILURE;
    };
    let served = async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}{}", listener.local_addr()?, serve::PATH);
        let door = ServerAccess { token, hosts: Vec::new() };
        serve::serve(Everything::new(), listener, door, std::future::pending()).await
    };
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
