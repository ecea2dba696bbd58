//! `hearth doctor`: which machine drivers work here, and what to do about those that don't.

use anyhow::Result;
use machine::{Finding, FindingLevel};

use crate::args::{DoctorArgs, DriverName};
use crate::config::Config;
use crate::data::DataFolder;
use crate::exit;
use crate::run::machines;

/// Probes each driver by a canary machine. Succeeds when the default driver works.
pub(crate) async fn doctor(args: &DoctorArgs) -> Result<u8> {
    let config = Config::load(args.places.config.as_deref())?;
    let data = DataFolder::open(args.places.data.clone().or_else(|| config.data.clone()))?;
    say!("data folder: {}", data.root().display());
    let mut default_works = false;
    for name in [DriverName::Sandbox, DriverName::Qemu, DriverName::Firecracker, DriverName::Host] {
        let driver = machines::driver(name, &data, &config)?;
        let probe = driver.probe().await;
        say!("\n{}: {}", driver.name(), if probe.usable { "works" } else { "does not work here" });
        probe.findings.iter().for_each(show);
        default_works |= name == DriverName::Sandbox && probe.usable;
    }
    Ok(if default_works { exit::SUCCESS } else { exit::MACHINE })
}

fn show(finding: &Finding) {
    let mark = match finding.level {
        FindingLevel::Good => "✓",
        FindingLevel::Degraded => "!",
        FindingLevel::Bad => "✗",
    };
    say!("  {mark} {}: {}", finding.subject, finding.detail);
    if let Some(remedy) = &finding.remedy {
        say!("    → {remedy}");
    }
}
