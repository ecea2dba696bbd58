//! `hearth image`: making, looking at, and passing on what virtual machines boot from.

pub(crate) mod args;

use std::io::Write as _;

use anyhow::{Context, Result, bail};
use machine::image::{Base, Depth, Image, ImageError, ImageStore, Listed, Progress, Recipe, build};
use model::Timestamp;

use crate::args::PlaceArgs;
use crate::config::Config;
use crate::data::DataFolder;
use crate::exit;
use crate::json;
use crate::table::Table;
use crate::told::told;
use args::{BuildArgs, ImageCommand};

/// Carries out one of the commands.
pub(crate) fn image(command: ImageCommand) -> Result<u8> {
    let done = match command {
        ImageCommand::Build(args) => make(&args),
        ImageCommand::Ls(args) => list(&open(&args.places)?),
        ImageCommand::Inspect(args) => inspect(&open(&args.places)?, &args.image, args.verify),
        ImageCommand::Rm(args) => remove(&open(&args.places)?, &args.images),
        ImageCommand::Export(args) => {
            let store = open(&args.places)?;
            let image = store.get(&args.image)?;
            store.export(&image, &args.file)?;
            say!("{} is in {}", image.id.short(), args.file.display());
            Ok(())
        }
        ImageCommand::Import(args) => {
            let store = open(&args.places)?;
            let image = store.import(&args.file)?;
            if let Some(name) = &args.name {
                store.name(name, &image.id)?;
            }
            say!("{}", image.id);
            Ok(())
        }
    };
    match done {
        Ok(()) => Ok(exit::SUCCESS),
        Err(error) => {
            eprintln!("hearth: {}", told(&error));
            Ok(code(&error))
        }
    }
}

/// What was asked for was wrong, or it was right and failed.
fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(ImageError::NotFound { .. } | ImageError::Name { .. } | ImageError::Refused { .. }) => {
            exit::USAGE
        }
        _ => exit::FAILURE,
    }
}

fn open(places: &PlaceArgs) -> Result<ImageStore> {
    let config = Config::load(places.config.as_deref())?;
    let data = DataFolder::open(places.data.clone().or(config.data))?;
    Ok(ImageStore::open(data.root())?)
}

fn make(args: &BuildArgs) -> Result<()> {
    let store = open(&args.places)?;
    let base = match (&args.from_tar, &args.from_oci) {
        (Some(tar), _) => Base::Tar(tar.clone()),
        (None, Some(layout)) => Base::Oci(layout.clone()),
        (None, None) => Base::Packages { bare: args.bare, extra: args.packages.clone() },
    };
    let recipe = Recipe {
        name: args.name.clone(),
        base,
        suite: args.suite.into(),
        kernel: args.kernel.into(),
        mirrors: args.mirrors.clone(),
        compression: args.compression.into(),
        init: args.init.clone(),
    };
    let image = build(&store, &recipe, machine::agent_binary(), &mut |progress| show(&progress))?;
    say!("{} {} ({} MiB)", recipe.name, image.id.short(), bytes(&image) >> 20);
    Ok(())
}

/// Progress is for whoever watches: standard output has the result only.
fn show(progress: &Progress) {
    let mut out = std::io::stderr().lock();
    let _ = match progress {
        Progress::Began(stage) => writeln!(out, "{}: begins", stage.name()),
        Progress::Said(stage, line) => writeln!(out, "{}: {line}", stage.name()),
        Progress::Ended(stage, took) => {
            writeln!(out, "{}: done in {:.1} s", stage.name(), took.as_secs_f64())
        }
        Progress::Reused(stage) => writeln!(out, "{}: done by a build that was interrupted", stage.name()),
    };
}

fn list(store: &ImageStore) -> Result<()> {
    let all = store.list()?;
    if all.is_empty() {
        eprintln!("hearth: no images yet: make one with `hearth image build`");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "ID", "MiB", "KERNEL", "SUITE", "BUILT"], 0).then(&[3]);
    let mut damaged = 0;
    for Listed { id, names, image } in &all {
        let names = if names.is_empty() { "-".to_owned() } else { names.join(",") };
        match image {
            Ok(image) => {
                let manifest = &image.manifest;
                let (mib, made) = (bytes(image) >> 20, Timestamp(manifest.made_unix_ms));
                let (kernel, suite) = (manifest.kernel_version.clone(), manifest.suite.clone());
                table.row_at([names, id.short().to_owned(), mib.to_string(), kernel, suite], made);
            }
            Err(error) => {
                damaged += 1;
                table.row([names, id.short().to_owned(), "-".to_owned(), format!("damaged: {error}")]);
            }
        }
    }
    table.list();
    if damaged > 0 {
        bail!(
            "{damaged} of {} images are damaged; remove them by their ids, and build them again",
            all.len()
        );
    }
    Ok(())
}

fn inspect(store: &ImageStore, wanted: &str, verify: bool) -> Result<()> {
    let image = store.get(wanted)?;
    if verify {
        store.verify(&image, Depth::Full)?;
    }
    let mut shown = serde_json::to_value(&image.manifest).context("the manifest can't be shown")?;
    shown["folder"] = image.folder.to_string_lossy().into();
    say!("{}", json::pretty(&shown).context("the manifest can't be shown")?);
    Ok(())
}

fn remove(store: &ImageStore, wanted: &[String]) -> Result<()> {
    for wanted in wanted {
        let removed = store.remove(wanted)?;
        removed.names.iter().for_each(|name| say!("name {name}"));
        if let Some(id) = removed.image {
            say!("image {id}");
        }
    }
    Ok(())
}

fn bytes(image: &Image) -> u64 {
    let files = &image.manifest.files;
    files.kernel.bytes + files.initrd.bytes + files.root.bytes
}
