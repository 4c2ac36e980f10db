//! A started program and everything that it started, from the side of the process that started it.

use crate::reaper;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A program and all processes that it started. Dropping the value ends them.
#[derive(Debug)]
pub struct ProcessTree(Option<Root>);

#[derive(Debug)]
enum Root {
    /// A reaper, which ends its whole tree when asked to. Linux: by a handle that no later process can have, and the mark of
    /// the processes below it.
    #[cfg(target_os = "linux")]
    Reaper(std::os::fd::OwnedFd, Option<String>),
    /// A reaper, by its process id.
    ReaperId(Pid),
    /// The leader of a process group.
    Group(Pid),
}

impl ProcessTree {
    /// The tree below a process of [`command`](crate::command) or [`python`](crate::python) with the process id `id`. Call it
    /// before the process is waited for.
    pub fn of(id: Option<u32>) -> Self {
        let root = id.and_then(|id| Pid::from_raw(id.cast_signed())).map(|pid| {
            if !reaper::is_available() {
                return Root::Group(pid);
            }
            #[cfg(target_os = "linux")]
            if let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
                return Root::Reaper(handle, reaper::mark_of(pid));
            }
            Root::ReaperId(pid)
        });
        Self(root)
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        // The processes may have ended already.
        let _ = match &self.0 {
            #[cfg(target_os = "linux")]
            Some(Root::Reaper(handle, mark)) => {
                let mut watched = [rustix::event::PollFd::new(handle, rustix::event::PollFlags::IN)];
                let now = rustix::time::Timespec::default();
                let has_ended = rustix::event::poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0);
                match mark {
                    // With its whole tree, unless the program killed both reapers.
                    Some(mark) if has_ended => {
                        reaper::kill_marked(mark);
                        Ok(())
                    }
                    _ => rustix::process::pidfd_send_signal(handle, Signal::TERM),
                }
            }
            Some(Root::ReaperId(pid)) => kill_process(*pid, Signal::TERM),
            Some(Root::Group(leader)) => kill_process_group(*leader, Signal::KILL),
            None => Ok(()),
        };
    }
}
