use std::io;
use std::path::Path;

/// A MiniWoB++ task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiniWobTask {
    /// Name of the task: "click-test".
    pub name: String,
}

impl MiniWobTask {
    /// The name as an identifier: `click_test`.
    pub fn identifier(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// The tasks with a page in the package's folder `html`, sorted by name.
///
/// # Errors
/// The folder cannot be read.
pub fn list_tasks(html: &Path) -> io::Result<Vec<MiniWobTask>> {
    let mut tasks = Vec::new();
    for file in std::fs::read_dir(html.join("miniwob"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "html")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            tasks.push(MiniWobTask { name: name.to_owned() });
        }
    }
    tasks.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(tasks)
}
