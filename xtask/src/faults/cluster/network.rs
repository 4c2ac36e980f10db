//! Networks of machines: a network namespace for the server and one for each worker, joined by cables that can be unplugged.

use super::super::place::until;
use anyhow::{Context as _, Result, ensure};
use sojourn_testkit::{Running, command, skipped};
use std::process::{Command, Stdio};

/// The server's side: its namespace lives as long as this.
pub struct Network(Running);

/// The cable of one worker.
pub struct Cable {
    server: u32,
    /// Number of the machine; each gets a new one, because the system takes a while to remove what a dead one had.
    number: u8,
}

impl Network {
    /// `None`, said loudly, where this process may not make one.
    pub fn start() -> Result<Option<Self>> {
        let may = || Command::new("unshare").args(["-n", "ip", "link", "add", "type", "veth"]).output();
        if !rustix::process::geteuid().is_root() || !may().is_ok_and(|tried| tried.status.success()) {
            skipped("only root can make network namespaces here: no machine is cut off from the server");
            return Ok(None);
        }
        let mut holder = command("unshare");
        holder.args(["-n", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null());
        let network = Self(Running::start(&mut holder));
        is_apart(network.process())?;
        within(network.process(), &["ip", "link", "set", "lo", "up"])?;
        Ok(Some(network))
    }

    /// A process in the server's namespace.
    pub fn process(&self) -> u32 {
        self.0.id()
    }

    /// Joins a process in a namespace of its own to the server.
    pub fn plug(&self, number: u8, process: u32) -> Result<Cable> {
        is_apart(process)?;
        let cable = Cable { server: self.process(), number };
        let (here, there) = (cable.name(), process.to_string());
        let add = ["ip", "link", "add", &here, "type", "veth", "peer", "name", "uplink", "netns", &there];
        within(self.process(), &add)?;
        let address = |end: u8| format!("10.77.{number}.{end}/24");
        within(self.process(), &["ip", "addr", "add", &address(1), "dev", &here])?;
        within(self.process(), &["ip", "link", "set", &here, "up"])?;
        within(process, &["ip", "addr", "add", &address(2), "dev", "uplink"])?;
        within(process, &["ip", "link", "set", "uplink", "up"])?;
        within(process, &["ip", "link", "set", "lo", "up"])?;
        Ok(cable)
    }
}

impl Cable {
    /// The server's address, as this machine sees it.
    pub fn server(number: u8) -> String {
        format!("10.77.{number}.1")
    }

    /// Unplugs it: neither side hears of the other any more.
    pub fn cut(&self) -> Result<()> {
        within(self.server, &["ip", "link", "set", &self.name(), "down"])
    }

    /// Plugs it in again. What either side had sent meanwhile arrives.
    pub fn mend(&self) -> Result<()> {
        within(self.server, &["ip", "link", "set", &self.name(), "up"])
    }

    fn name(&self) -> String {
        format!("m{}", self.number)
    }
}

/// A program in the network namespace of a process.
pub fn in_network_of(process: u32, program: &str) -> Command {
    let mut inside = command("nsenter");
    inside.arg(format!("--net=/proc/{process}/ns/net")).arg(program);
    inside
}

fn within(process: u32, words: &[&str]) -> Result<()> {
    let done = in_network_of(process, words[0]).args(&words[1..]).output()?;
    ensure!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Waits until a process has a network namespace of its own.
fn is_apart(process: u32) -> Result<()> {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net"));
    let mine = of("self").context("this system has no network namespaces")?;
    until("a process has its network", || of(&process.to_string()).is_ok_and(|its| its != mine))
}
