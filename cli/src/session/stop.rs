//! Stopping a run by Ctrl-C or `kill`.

use crate::error::Kind;
use sojourn_controller::Cancel;

/// Cancels `cancel` at the first Ctrl-C or `kill`, and ends the process at the second.
pub fn stop_on_ctrl_c(cancel: Cancel) {
    use tokio::signal::unix::{SignalKind, signal};
    tokio::spawn(async move {
        let (Ok(mut interrupts), Ok(mut terminations)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if asked {
                exit_at_once();
            }
            asked = true;
            crate::output::note("stopping after the step under way; press Ctrl-C again to stop at once");
            cancel.cancel();
        }
    });
}

#[allow(clippy::exit, reason = "the user asked twice, and the log loses at most its last unfinished group")]
fn exit_at_once() -> ! {
    std::process::exit(Kind::Interrupted as i32)
}
