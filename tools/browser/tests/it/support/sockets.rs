//! The sockets of a browser's processes, as the kernel lists them.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket of the internet protocols.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    pub protocol: &'static str,
    pub local: SocketAddr,
    /// Port 0 if it is not connected.
    pub remote: SocketAddr,
}

/// The processes that have `text` among their arguments.
pub fn processes_with(text: &str) -> Vec<u32> {
    let ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&arguments).contains(text).then_some(id)
    });
    ids.collect()
}

/// An argument of a process that begins with `prefix`, without the prefix.
pub fn argument(process: u32, prefix: &str) -> String {
    let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    arguments.split('\0').find_map(|one| one.strip_prefix(prefix)).unwrap().to_owned()
}

/// The open sockets of processes.
pub fn sockets_of(processes: &[u32]) -> BTreeSet<Socket> {
    let mut found = BTreeSet::new();
    for process in processes {
        let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { continue };
        let inodes: BTreeSet<String> = files
            .flatten()
            .filter_map(|file| {
                let target = fs::read_link(file.path()).ok()?.to_str()?.to_owned();
                Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
            })
            .collect();
        for protocol in ["tcp", "tcp6", "udp", "udp6"] {
            // The list of the network that the process is in.
            let Ok(list) = fs::read_to_string(format!("/proc/{process}/net/{protocol}")) else { continue };
            for line in list.lines().skip(1) {
                let words: Vec<&str> = line.split_whitespace().collect();
                if inodes.contains(words[9]) {
                    found.insert(Socket { protocol, local: address(words[1]), remote: address(words[2]) });
                }
            }
        }
    }
    found
}

/// An address as the kernel writes it: words of four bytes in hexadecimal, in the byte order of the machine.
fn address(text: &str) -> SocketAddr {
    let (address, port) = text.split_once(':').unwrap();
    let bytes: Vec<u8> = (0..address.len())
        .step_by(8)
        .flat_map(|at| u32::from_str_radix(&address[at..at + 8], 16).unwrap().to_ne_bytes())
        .collect();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::from(Ipv4Addr::from(bytes)),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).unwrap()).to_canonical(),
    };
    SocketAddr::new(address, u16::from_str_radix(port, 16).unwrap())
}
