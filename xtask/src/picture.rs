//! `cargo xtask picture`: pictures for the README and the guide.

mod pages;
mod recording;
mod svg;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::command::{cargo, check, output, program, root};

use recording::Size;

/// Of what.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Subject {
    /// A run of the example in a terminal, as it goes, for the README
    Run,
    /// The pages of a server, for the guide
    Pages,
}

/// Draws them.
pub(crate) fn run(subject: Subject) -> Result<()> {
    match subject {
        Subject::Run => example(),
        Subject::Pages => pages::run(),
    }
}

/// Where the README looks for it.
const PICTURE: &str = "docs/run.svg";

/// What is run.
const EXAMPLE: &str = "examples/hello";

/// The terminal: wide enough for every line of the example, and as high as a picture in a text may be.
const SIZE: Size = Size { columns: 92, rows: 32 };

/// Runs the example, as a repository of its own and with nothing cached, and writes the picture.
fn example() -> Result<()> {
    let root = root();
    check(&mut cargo(["build", "--release", "--quiet", "-p", "hearth"]))?;
    let folder = std::env::temp_dir().join("hearth-picture");
    std::fs::create_dir(&folder)
        .with_context(|| format!("can't make {}; remove it if it is left over", folder.display()))?;
    let shown = record(&root, &folder);
    std::fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))?;
    let path = root.join(PICTURE);
    std::fs::write(&path, shown?).with_context(|| format!("can't write {}", path.display()))?;
    println!("{PICTURE}");
    Ok(())
}

fn record(root: &Path, folder: &Path) -> Result<String> {
    let (data, folder) = (folder.join("data"), folder.join("hello"));
    check(program("cp", ["-a", EXAMPLE]).arg(&folder))?;
    let git = |args: &[&str]| {
        let author = ["-c", "user.name=Hearth", "-c", "user.email=hearth@localhost"];
        output(program("git", author).args(args).current_dir(&folder))
    };
    git(&["init", "--quiet", "--initial-branch", "main"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message", "Begin"])?;
    let mut hearth = program(root.join(release_folder()?).join("hearth").to_string_lossy().as_ref(), ["run"]);
    hearth.current_dir(&folder).env("HEARTH_DATA", &data).env("XDG_CONFIG_HOME", &data);
    let recording = recording::record(hearth, SIZE, "$ hearth run\r\n")?;
    ensure!(recording.succeeded, "the example failed:\n{}", recording.last_text());
    Ok(svg::draw(&recording.frames))
}

/// Where cargo puts programs built with `--release`.
fn release_folder() -> Result<std::path::PathBuf> {
    let metadata = output(&mut program("cargo", ["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("can't read cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
    Ok(Path::new(target).join("release"))
}
