use std::io;
use std::path::Path;

/// A task of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    /// "click-test".
    pub name: String,
}

impl Documented {
    /// Its name as programs can bear it: `click_test`.
    pub fn identifier(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// The tasks whose pages are in the package's folder `html`, by name.
///
/// # Errors
/// When there is no such folder.
pub fn documented(html: &Path) -> io::Result<Vec<Documented>> {
    let mut tasks = Vec::new();
    for file in std::fs::read_dir(html.join("miniwob"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "html")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            tasks.push(Documented { name: name.to_owned() });
        }
    }
    tasks.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(tasks)
}
