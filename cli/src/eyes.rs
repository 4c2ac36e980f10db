//! What sees, for `sojourn see` and for sources of tools of kind `see`.

#[cfg(not(feature = "perception"))]
use crate::error::{Failure, Kind};
use crate::home::Home;
use anyhow::Result;
use sojourn_tools::ToolSource;
use sojourn_tools::builtin::SeeSettings;
use std::sync::Arc;

#[cfg(feature = "perception")]
pub use with_perception::{describer, encoder_file, lens, picture_reader, reader_files, source};

/// A source of tools that see, in a program that cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "perception"))]
pub fn source(name: &str, _settings: &SeeSettings, _home: Option<&Home>) -> Result<Arc<dyn ToolSource>> {
    Err(absent(format!("tools.{name}: ")).into())
}

/// What reads the pictures of a world, in a program that cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "perception"))]
pub fn picture_reader(_settings: &SeeSettings) -> Result<Arc<dyn sojourn_tools::PictureReader>> {
    Err(absent("run.perceive: ").into())
}

/// What makes pictures fit for a model: nothing, in a program that cannot decode them.
#[cfg(not(feature = "perception"))]
pub fn lens() -> Option<Arc<dyn sojourn_controller::Lens>> {
    None
}

/// The program was built without perception.
#[cfg(not(feature = "perception"))]
pub fn absent(place: impl std::fmt::Display) -> Failure {
    Failure::new(
        Kind::Failure,
        format!("{place}this program was built without perception and can neither see nor hear"),
    )
    .hint("build it with the feature `perception`")
}

#[cfg(feature = "perception")]
mod with_perception {
    use super::{Arc, Home, Result, SeeSettings, ToolSource};
    use crate::error::{Failure, Kind};
    use crate::images::HomeImages;
    use crate::models;
    use crate::onlooker::Onlooker;
    use anyhow::Context as _;
    use sojourn_controller::models::ModelKind;
    use sojourn_controller::{Lens, Pixels};
    use sojourn_perception::{Describer, Eyes, Picture, ReaderFiles, see};
    use sojourn_tools::PictureReader;
    use sojourn_tools::builtin::DescriberSettings;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Time limit of a call where the agent file gives none.
    const WITHIN: Duration = Duration::from_mins(2);
    /// Limit on the loaded networks where the agent file gives none, in MiB.
    const NETWORKS_MIB: u64 = 1024;

    /// Makes pictures fit for a model.
    #[derive(Debug)]
    struct Scaling;

    impl Lens for Scaling {
        fn fit(&self, bytes: &[u8], most: u32) -> std::result::Result<Vec<u8>, String> {
            let picture = Picture::decode(bytes).map_err(|error| error.to_string())?;
            picture.scaled_to(most).to_png().map_err(|error| error.to_string())
        }

        fn pixels(&self, bytes: &[u8], most: u32) -> std::result::Result<Pixels, String> {
            let picture = Picture::decode(bytes).map_err(|error| error.to_string())?.scaled_to(most);
            Ok(Pixels { width: picture.width(), height: picture.height(), rgb: picture.into_rgb() })
        }
    }

    /// What makes pictures fit for a model.
    #[allow(clippy::unnecessary_wraps, reason = "the same signature as without the feature")]
    pub fn lens() -> Option<Arc<dyn Lens>> {
        Some(Arc::new(Scaling))
    }

    /// Opens a source of tools that see. The networks are loaded at the first call that needs them. What is taught is kept in `home`.
    ///
    /// # Errors
    /// When the model is unknown, is no reader or is not on this machine.
    pub fn source(name: &str, settings: &SeeSettings, home: Option<&Home>) -> Result<Arc<dyn ToolSource>> {
        let mut eyes = eyes(settings).with_context(|| format!("tools.{name}"))?;
        if let (Some(home), Some(encoder)) = (home, &settings.encoder) {
            eyes.images = Some(Arc::new(HomeImages::new(home, encoder)));
        }
        Ok(Arc::new(see(name, eyes)))
    }

    /// What reads the pictures of a world, as a source of tools with these settings would.
    ///
    /// # Errors
    /// As [`source`].
    pub fn picture_reader(settings: &SeeSettings) -> Result<Arc<dyn PictureReader>> {
        let eyes = eyes(settings).context("run.perceive")?;
        Ok(sojourn_perception::picture_reader(Eyes { encoder: None, describer: None, ..eyes }))
    }

    fn eyes(settings: &SeeSettings) -> Result<Eyes> {
        let files = reader_files(settings.model.as_deref())?;
        let within = settings.timeout_ms.map_or(WITHIN, Duration::from_millis);
        let encoder = settings.encoder.as_deref().map(encoder_file).transpose()?;
        let describer = settings.describer.as_ref().map(describer).transpose()?;
        let folder = |folder: &Option<String>| folder.as_ref().map(PathBuf::from);
        let (dual, matcher) = (folder(&settings.dual), folder(&settings.matcher));
        let memory_mib = settings.memory_mib.unwrap_or(NETWORKS_MIB);
        Ok(Eyes { files, encoder, dual, matcher, images: None, describer, memory_mib, within })
    }

    /// The model that answers questions about pictures. It is loaded at the first question.
    ///
    /// # Errors
    /// When the model or its projector is not on this machine, or is no such file.
    pub fn describer(settings: &DescriberSettings) -> Result<Arc<dyn Describer>> {
        Ok(Arc::new(Onlooker::new(models::seeing(settings).context("describer")?)))
    }

    /// The file of a model that compares what pictures show: a name of the catalogue, or a path.
    ///
    /// # Errors
    /// When the model is unknown, is for something else, or is not on this machine.
    pub fn encoder_file(model: &str) -> Result<PathBuf> {
        let known = models::open()?;
        if let Ok(entry) = known.catalogue().get(model)
            && entry.kind != ModelKind::Vision
        {
            let what = format!("the model `{model}` does not look at pictures");
            return Err(Failure::new(Kind::Usage, what)
                .hint("`sojourn models list --kind vision` shows those that do")
                .into());
        }
        models::path(&known, model)
    }

    /// The files of a model that reads text, by default those of the default one.
    ///
    /// # Errors
    /// When the model is unknown, is no reader, or is not on this machine.
    pub fn reader_files(model: Option<&str>) -> Result<ReaderFiles> {
        let known = models::open()?;
        let name = match model {
            Some(name) => {
                let entry = known.catalogue().get(name)?;
                if entry.kind != ModelKind::Vision || entry.with.is_empty() {
                    let what = format!("the model `{name}` does not read text in pictures");
                    return Err(Failure::new(Kind::Usage, what)
                        .hint("`sojourn models list --kind vision` shows those that do")
                        .into());
                }
                name.to_owned()
            }
            None => models::default_name(&known, ModelKind::Vision)?,
        };
        let part = |part: &str| -> Result<PathBuf> {
            known.path(&format!("{name}{part}")).map_err(|_| {
                Failure::new(Kind::NotFound, format!("the model `{name}` is not on this machine"))
                    .hint(format!("fetch it with `sojourn models pull {name}`"))
                    .into()
            })
        };
        Ok(ReaderFiles {
            recogniser: part("")?,
            detector: part("-detector")?,
            dictionary: part("-dictionary")?,
        })
    }
}
