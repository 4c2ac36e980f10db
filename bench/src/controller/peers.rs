//! llama.cpp's own programs, run on the same model with as many threads.

use super::Setting;
use super::ours::{FIRST, GREETING, NEXT, Prompts, Speed};
use anyhow::{Context, Result, anyhow, ensure};
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use sojourn_cli::error::{Failure, Kind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The time limit for a server to load a model.
const LOADING: Duration = Duration::from_mins(2);

/// The paths of the programs.
pub struct Peers {
    bench: PathBuf,
    server: PathBuf,
    once: PathBuf,
    /// Their version.
    pub version: String,
}

#[derive(Deserialize)]
struct Row {
    n_prompt: u32,
    n_gen: u32,
    n_depth: u32,
    avg_ts: f64,
}

impl Peers {
    /// Finds the programs in `directory`.
    pub fn find(directory: &Path) -> Result<Self> {
        let program = |names: &[&str]| {
            let found = names.iter().map(|name| directory.join(name)).find(|path| path.is_file());
            found.ok_or_else(|| {
                let missing = format!("there is no `{}` in `{}`", names[0], directory.display());
                Failure::new(Kind::NotFound, missing)
                    .hint("`bench/peers/llama.cpp/build` builds llama.cpp's programs and says where they are")
            })
        };
        let bench = program(&["llama-bench"])?;
        let server = program(&["llama-server"])?;
        // Newer versions split the chat program off: `llama-completion` answers once and ends.
        let once = program(&["llama-completion", "llama-cli"])?;
        let told = std::process::Command::new(&server).arg("--version").output()?;
        let told = [told.stdout, told.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        let version =
            told.lines().find(|line| line.contains("version")).unwrap_or("unknown").trim().to_owned();
        Ok(Self { bench, server, once, version })
    }

    /// What `llama-bench` measures in one repetition.
    pub async fn bench(&self, setting: &Setting, read: u32, write: u32) -> Result<Speed> {
        let output = Command::new(&self.bench)
            .arg("-m")
            .arg(&setting.model)
            .args(["-r", "1", "-o", "json", "-t"])
            .arg(setting.threads.to_string())
            // After a prompt of the same length: generation slows down with the length of the text.
            .args(["-p", &read.to_string(), "-n", &write.to_string(), "-d", &format!("0,{read}")])
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(output.status.success(), "llama-bench failed");
        let rows: Vec<Row> = serde_json::from_slice(&output.stdout).context("what llama-bench printed")?;
        let of = |wanted: &dyn Fn(&Row) -> bool| {
            rows.iter()
                .find(|row| wanted(row))
                .map(|row| row.avg_ts)
                .ok_or_else(|| anyhow!("a row is missing"))
        };
        Ok(Speed {
            read: of(&|row| row.n_prompt > 0 && row.n_depth == 0)?,
            write: of(&|row| row.n_gen > 0 && row.n_depth == read)?,
            tokens: read,
        })
    }

    /// Generated tokens per second of `llama-server` for one client per run, each with its own prompt.
    pub async fn server(&self, setting: &Setting, write: u32, asked: Prompts) -> Result<f64> {
        let mut server = Server::start(&self.server, setting).await?;
        // The first use of everything is not measured; the beginning is not shared here either.
        server.complete(0, "Hello.", 2).await?;
        let mut prompts: Vec<String> = (0..setting.runs).map(story).collect();
        if asked == Prompts::Known {
            for (slot, prompt) in (0..).zip(&mut prompts) {
                server.complete(slot, &format!("{prompt} {FIRST}"), 1).await?;
                prompt.push_str(NEXT);
            }
        } else {
            for prompt in &mut prompts {
                prompt.push_str(FIRST);
            }
        }
        let start = Instant::now();
        let asked = (0..).zip(&prompts).map(|(slot, prompt)| server.complete(slot, prompt, write));
        let written = try_join_all(asked).await?;
        let seconds = start.elapsed().as_secs_f64();
        server.stop().await?;
        ensure!(written.iter().all(|&tokens| tokens == write), "llama-server ended early: {written:?}");
        Ok(f64::from(written.iter().sum::<u32>()) / seconds)
    }

    /// Milliseconds of the program for one answer, from its start to its end, for one token.
    pub async fn load(&self, setting: &Setting) -> Result<f64> {
        let start = Instant::now();
        let status = Command::new(&self.once)
            .arg("-m")
            .arg(&setting.model)
            .args(["-p", GREETING, "-n", "1", "-c", "8192", "-no-cnv", "-t"])
            .arg(setting.threads.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await?;
        ensure!(status.success(), "`{}` failed", self.once.display());
        Ok(start.elapsed().as_secs_f64() * 1000.0)
    }
}

/// About as long as the prompt of this program's controller, template included.
fn story(run: u32) -> String {
    let sentence = "Trees stand north and west of the river, and a cow grazes between them. ";
    format!("Day {run} of another journey. {}", sentence.repeat(16))
}

struct Server {
    child: Child,
    client: reqwest::Client,
    url: String,
}

impl Server {
    async fn start(program: &Path, setting: &Setting) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new(program)
            .arg("-m")
            .arg(&setting.model)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "-c", "8192", "-np"])
            .arg(setting.runs.to_string())
            .arg("-t")
            .arg(setting.threads.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut server =
            Self { child, client: reqwest::Client::new(), url: format!("http://127.0.0.1:{port}") };
        let start = Instant::now();
        loop {
            let health = server.client.get(format!("{}/health", server.url)).send().await;
            if health.is_ok_and(|health| health.status().is_success()) {
                return Ok(server);
            }
            ensure!(server.child.try_wait()?.is_none(), "llama-server exited");
            ensure!(start.elapsed() < LOADING, "llama-server is not ready in time");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Generates this many tokens after `prompt` in this slot; returns their number.
    async fn complete(&self, slot: u32, prompt: &str, write: u32) -> Result<u32> {
        let body = json!({
            "prompt": prompt, "n_predict": write, "ignore_eos": true, "temperature": 0.8, "min_p": 0.05,
            "id_slot": slot, "cache_prompt": true, "stream": false,
        });
        let answer = self.client.post(format!("{}/completion", self.url)).json(&body).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        Ok(answer["tokens_predicted"].as_u64().unwrap_or(0) as u32)
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}
