//! A network of the browser's own, where Linux allows one. It holds nothing but the way to the proxy.
//!
//! `unshare` starts this program again in a new network namespace. There it opens the listeners of the proxy, hands them to its
//! parent, and becomes the browser. A socket belongs to the network that it was made in, so the proxy is served from outside,
//! and whatever else the browser contacts does not exist.

use crate::BrowserError;
use crate::helper::{Helper, SOCKET_VARIABLE};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use std::io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// Name of the socket between the helper and its parent, in the browser's profile.
const SOCKET: &str = "sojourn.socket";
/// Time limit for the helper to open its listener, also on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Starts a program without the rights that `unshare --keep-caps` gave.
const DROP_RIGHTS: [&str; 3] = ["setpriv", "--ambient-caps=-all", "--"];
/// Number of sockets that the helper hands over: the proxy's, for pages and for sockets of scripts.
const SOCKETS: usize = 2;

/// Opens the listeners, hands them over, and replaces the process by the browser. Returns only if that is impossible.
pub(crate) fn become_browser(socket: &Path) -> io::Error {
    let prepared = || -> io::Result<Vec<String>> {
        set_up_interfaces()?;
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (pages, scripts) = (listen()?, listen()?);
        let parent = UnixStream::connect(socket)?;
        let sockets = [pages.as_fd(), scripts.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        rustix::net::sendmsg(&parent, &[IoSlice::new(b"\n")], &mut control, SendFlags::empty())?;
        let mut command = String::new();
        BufReader::new(&parent).read_line(&mut command)?;
        Ok(serde_json::from_str(&command)?)
    };
    match prepared() {
        Ok(command) => {
            let Some((program, arguments)) = command.split_first() else {
                return io::Error::new(io::ErrorKind::InvalidInput, "no browser was named");
            };
            std::process::Command::new(program).args(arguments).env_remove(SOCKET_VARIABLE).exec()
        }
        Err(error) => error,
    }
}

/// Brings up the loopback interface of a new network namespace, and adds an interface that leads nowhere: a browser that has
/// loopback alone tells pages that it is offline.
fn set_up_interfaces() -> io::Result<()> {
    /// The first interface of every namespace.
    const LOOPBACK_INDEX: i32 = 1;
    bring_up(LOOPBACK_INDEX, 0, &[])?;
    // Not every kernel has every kind, and pages work without one.
    let _ = ["dummy", "bridge"].iter().try_for_each(|kind| {
        /// `IFLA_IFNAME`, `IFLA_LINKINFO`, `IFLA_INFO_KIND`; `NLM_F_CREATE | NLM_F_EXCL`.
        const NAME: u16 = 3;
        const INFO: u16 = 18;
        const KIND: u16 = 1;
        const CREATE: u16 = 0x400 | 0x200;
        let mut attributes = attribute(NAME, b"nowhere\0");
        attributes.extend(attribute(INFO, &attribute(KIND, kind.as_bytes())));
        match bring_up(0, CREATE, &attributes) {
            Ok(()) => ControlFlow::Break(()),
            Err(_) => ControlFlow::Continue(()),
        }
    });
    Ok(())
}

/// Asks the kernel to bring an interface up (rtnetlink(7)), or with flags and attributes to create one that is up.
fn bring_up(index: i32, flags: u16, attributes: &[u8]) -> io::Result<()> {
    /// `RTM_NEWLINK`, `NLM_F_REQUEST | NLM_F_ACK`, `IFF_UP`.
    const NEW_LINK: u16 = 16;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    const UP: u32 = 1;
    /// Size of the header and of the description of an interface, in bytes.
    const FIXED: usize = 32;
    let length = u32::try_from(FIXED + attributes.len()).map_err(io::Error::other)?;
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend((REQUEST_AND_ACKNOWLEDGE | flags).to_ne_bytes());
    // Sequence number, port; family, padding and type of the interface.
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(attributes);
    let kernel =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&kernel, &message, SendFlags::empty())?;
    let mut answer = [0; 1024];
    let (received, _) = rustix::net::recv(&kernel, &mut answer[..], RecvFlags::empty())?;
    // A header of 16 bytes, then a negative error number, or 0.
    match answer.get(16..20).filter(|_| received >= 20).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) {
        Some(bytes) if i32::from_ne_bytes(bytes) == 0 => Ok(()),
        Some(bytes) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(bytes).saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// An attribute of a message: its length and kind, then its content, filled up to a multiple of four bytes.
fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + content.len()).unwrap_or(u16::MAX);
    let mut attribute = length.to_ne_bytes().to_vec();
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(content);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// A helper that is about to be started.
pub(crate) struct Preparation {
    listener: tokio::net::UnixListener,
    /// Starts the helper in a new network namespace.
    pub command: Command,
}

/// The network of a helper that waits for the command of its browser.
pub(crate) struct OwnNetwork {
    parent: UnixStream,
    listeners: [TcpListener; SOCKETS],
}

impl Preparation {
    /// Prepares the start of `helper`, which needs the variable of [`environment`](Self::environment).
    ///
    /// # Errors
    /// A program is missing, or the socket cannot be made.
    pub fn new(helper: &Helper, profile: &Path) -> Result<Self, String> {
        let unshare = installed("unshare")?;
        if !is_superuser() {
            installed(DROP_RIGHTS[0])?;
        }
        let socket = profile.join(SOCKET);
        let listener = tokio::net::UnixListener::bind(&socket)
            .map_err(|error| format!("no socket can be made at {}: {error}", socket.display()))?;
        let mut command = Command::new(unshare);
        // The superuser needs no new user. Anybody else stays who they are, with rights over the new network only.
        if !is_superuser() {
            command.args(["--user", "--map-current-user", "--keep-caps"]);
        }
        command.args(["--net", "--"]).arg(&helper.program).args(&helper.arguments);
        Ok(Self { listener, command })
    }

    /// The variable that the helper needs.
    pub fn environment(profile: &Path) -> (&'static str, PathBuf) {
        (SOCKET_VARIABLE, profile.join(SOCKET))
    }

    /// Waits for the sockets of the helper, whose process is `helper`.
    pub async fn sockets(self, helper: u32) -> io::Result<OwnNetwork> {
        let accepted = tokio::time::timeout(TIMEOUT, self.listener.accept()).await;
        let (stream, _) = accepted.map_err(|_| io::ErrorKind::TimedOut)??;
        // The namespace is only worth something if it is another one.
        let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net"));
        if network("self")? == network(&helper.to_string())? {
            return Err(io::Error::other("the helper is in the same network"));
        }
        let parent = stream.into_std()?;
        parent.set_nonblocking(false)?;
        parent.set_read_timeout(Some(TIMEOUT))?;
        let receive = tokio::task::spawn_blocking(move || receive(&parent).map(|sockets| (parent, sockets)));
        let (parent, sockets) = receive.await.map_err(io::Error::other)??;
        let listeners = sockets.map(TcpListener::from);
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        Ok(OwnNetwork { parent, listeners })
    }
}

/// Receives the proxy's listeners from a helper.
fn receive(parent: &UnixStream) -> io::Result<[OwnedFd; SOCKETS]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0; 1];
    rustix::net::recvmsg(parent, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            sockets.extend(received);
        }
    }
    sockets.try_into().map_err(|_| io::ErrorKind::InvalidData.into())
}

impl OwnNetwork {
    /// The listeners of the proxy: for pages, and for sockets of scripts.
    pub fn listeners(&self) -> io::Result<[tokio::net::TcpListener; SOCKETS]> {
        let [pages, scripts] = &self.listeners;
        let listener = |of: &TcpListener| tokio::net::TcpListener::from_std(of.try_clone()?);
        Ok([listener(pages)?, listener(scripts)?])
    }

    /// Lets the helper become the browser.
    pub fn start(mut self, program: &Path, arguments: Vec<String>) -> Result<(), BrowserError> {
        // The rights in the namespace were for the helper only.
        let mut command = Vec::new();
        if !is_superuser() {
            command.push(installed(DROP_RIGHTS[0]).map_err(BrowserError::Start)?.display().to_string());
            command.extend(DROP_RIGHTS[1..].iter().map(|&word| word.to_owned()));
        }
        command.push(program.display().to_string());
        command.extend(arguments);
        let line = format!("{}\n", serde_json::Value::from(command));
        self.parent.write_all(line.as_bytes()).map_err(|error| BrowserError::Start(error.to_string()))
    }
}

fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// The path of a program of util-linux; never one of the working directory.
fn installed(name: &str) -> Result<PathBuf, String> {
    sojourn_subprocess::find(name.as_ref(), Path::new(""))
        .map_err(|_| format!("the program `{name}` (of util-linux) is not installed"))
}
