//! What hears, for `sojourn hear` and for sources of tools of kind `hear`.

use anyhow::Result;
use sojourn_tools::ToolSource;
use sojourn_tools::builtin::HearSettings;
use std::sync::Arc;

#[cfg(feature = "perception")]
pub use with_perception::{files, source};

/// A source of tools that hear, in a program that cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "perception"))]
pub fn source(name: &str, _settings: &HearSettings) -> Result<Arc<dyn ToolSource>> {
    Err(crate::eyes::absent(format!("tools.{name}: ")).into())
}

#[cfg(feature = "perception")]
mod with_perception {
    use super::{Arc, HearSettings, Result, ToolSource};
    use crate::error::{Failure, Kind};
    use crate::models;
    use anyhow::Context as _;
    use sojourn_controller::models::ModelKind;
    use sojourn_perception::{EarFiles, Hearing, hear};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// Time limit of a call where the agent file gives none.
    const WITHIN: Duration = Duration::from_mins(10);
    /// Limit on the loaded networks where the agent file gives none, in MiB.
    const NETWORKS_MIB: u64 = 1024;
    /// The network that finds speech, which every model that writes down needs.
    const VOICE: &str = "silero-vad";

    /// Opens a source of tools that hear. The networks are loaded at the first call that needs them.
    ///
    /// # Errors
    /// When the model is unknown, is for something else or is not on this machine.
    pub fn source(name: &str, settings: &HearSettings) -> Result<Arc<dyn ToolSource>> {
        let files = files(settings.model.as_deref(), true).with_context(|| format!("tools.{name}"))?;
        let within = settings.timeout_ms.map_or(WITHIN, Duration::from_millis);
        let memory_mib = settings.memory_mib.unwrap_or(NETWORKS_MIB);
        Ok(Arc::new(hear(name, Hearing { files, memory_mib, within })))
    }

    /// The files of a model that writes speech down, a name or a folder, by default those of the default one. Without `writes`
    /// only the file that finds speech need be there.
    ///
    /// # Errors
    /// When the model is unknown, is for something else, or is not on this machine.
    pub fn files(model: Option<&str>, writes: bool) -> Result<EarFiles> {
        let known = models::open()?;
        let here = |part: &str, whole: &str| -> Result<PathBuf> {
            known.path(part).map_err(|_| {
                Failure::new(Kind::NotFound, format!("the model `{whole}` is not on this machine"))
                    .hint(format!("fetch it with `sojourn models pull {whole}`"))
                    .into()
            })
        };
        if !writes {
            let voice = here(VOICE, VOICE)?;
            let none = PathBuf::new();
            return Ok(EarFiles { voice, writer: none.clone(), vocabulary: none.clone(), settings: none });
        }
        if let Some(folder) = model.map(Path::new).filter(|model| model.is_dir()) {
            let vocabulary = folder.join("vocabulary.json");
            let vocabulary = if vocabulary.exists() { vocabulary } else { folder.join("vocabulary.txt") };
            let (writer, settings) = (folder.join("model.bin"), folder.join("config.json"));
            return Ok(EarFiles { voice: here(VOICE, VOICE)?, writer, vocabulary, settings });
        }
        let name = match model {
            Some(name) => {
                let entry = known.catalogue().get(name)?;
                if entry.kind != ModelKind::Speech || entry.with.is_empty() {
                    let what = format!("the model `{name}` does not write down speech");
                    return Err(Failure::new(Kind::Usage, what)
                        .hint("`sojourn models list --kind speech` shows those that do")
                        .into());
                }
                name.to_owned()
            }
            None => models::default_name(&known, ModelKind::Speech)?,
        };
        Ok(EarFiles {
            voice: here(VOICE, &name)?,
            writer: here(&name, &name)?,
            vocabulary: here(&format!("{name}-vocabulary"), &name)?,
            settings: here(&format!("{name}-settings"), &name)?,
        })
    }
}
