//! Node.js: the system's where it is new enough, otherwise the one that is installed with the packages.

use sojourn_subprocess::ProcessTree;
use sojourn_tools::EnvironmentUnavailable;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

/// The oldest major version of Node.js that runs the world.
pub(crate) const OLDEST: u32 = 22;
/// Variables that npm needs besides those that every program sees, and those whose names begin with `npm_config_`.
const VISIBLE: [&str; 11] = [
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];
/// Lines of npm's error output in an error message.
const SHOWN_LINES: usize = 6;

/// The Node.js that runs the world in `directory`.
///
/// # Errors
/// Neither the system nor the packages have one that is new enough.
pub(crate) async fn find(directory: &Path) -> Result<String, EnvironmentUnavailable> {
    let own = packaged(directory);
    let system = system_version(directory).await;
    match (system, own) {
        (Some(major), _) if major >= OLDEST => Ok("node".to_owned()),
        (_, Some(own)) => Ok(own.display().to_string()),
        (found, None) => Err(EnvironmentUnavailable::NotInstalled {
            missing: match found {
                Some(major) => format!("Minecraft needs Node.js {OLDEST} or newer, and the system's is version {major}"),
                None => format!("Minecraft needs Node.js {OLDEST} or newer, and there is none"),
            },
            remedy: "`sojourn environments install minecraft` installs one beside the packages, with the `npm` of any Node.js"
                .to_owned(),
        }),
    }
}

/// The major version of the `node` in PATH.
pub(crate) async fn system_version(directory: &Path) -> Option<u32> {
    let output =
        run(&["node", "--version"], directory).await.ok().filter(|output| output.status.success())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// The Node.js among the packages: each is a package for one system and processor.
fn packaged(directory: &Path) -> Option<PathBuf> {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    // The publisher names them in two ways.
    let names = [format!("node-{system}-{processor}"), format!("node-bin-{system}-{processor}")];
    let mut programs = names.iter().map(|name| directory.join("node_modules").join(name).join("bin/node"));
    programs.find(|program| program.is_file())
}

/// Installs the packages that `package-lock.json` in `directory` pins, without running any script of theirs.
///
/// # Errors
/// There is no npm, or it fails.
pub(crate) async fn install_packages(
    directory: &Path,
    with_node: bool,
) -> Result<(), EnvironmentUnavailable> {
    let mut line =
        vec!["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"];
    if !with_node {
        line.push("--omit=optional");
    }
    let missing = |error: std::io::Error| EnvironmentUnavailable::Failed {
        reason: format!("cannot start npm: {error}"),
        remedy: format!(
            "install Node.js, which brings npm; where it is older than {OLDEST}, a newer one is installed beside the packages"
        ),
    };
    let output = run(&line, directory).await.map_err(missing)?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = printed.lines().rev().take(SHOWN_LINES).collect();
    last.reverse();
    Err(EnvironmentUnavailable::Failed {
        reason: format!("npm failed: {}", last.join("\n")),
        remedy:
            "the packages come from npm's registry: see whether `npm ping` reaches it, then install again"
                .to_owned(),
    })
}

/// Runs a program in `directory` until it ends.
async fn run(line: &[&str], directory: &Path) -> std::io::Result<Output> {
    let line: Vec<String> = line.iter().map(|&part| part.to_owned()).collect();
    let settings = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let settings = settings.filter(|name| name.to_ascii_lowercase().starts_with("npm_config_"));
    let visible: Vec<String> = VISIBLE.into_iter().map(str::to_owned).chain(settings).collect();
    let mut command = sojourn_subprocess::command(&line, &visible, directory)?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let _tree = ProcessTree::of(child.id());
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_system_without_a_new_node_gets_one_with_the_packages() {
        let place = tempfile::tempdir().unwrap();
        if system_version(place.path()).await.is_none_or(|major| major < OLDEST) {
            let error = find(place.path()).await.unwrap_err();
            assert!(error.to_string().contains("needs Node.js 22 or newer"), "{error}");
            assert!(error.remedy().contains("environments install minecraft"), "{}", error.remedy());
        } else {
            assert_eq!(find(place.path()).await.unwrap(), "node");
        }
    }
}
