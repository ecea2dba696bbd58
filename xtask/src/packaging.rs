//! `cargo xtask test --only packaging`: what is under `packaging/`, as far as it can be checked here.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command::{check, is_installed, output, program, root};

/// Where promtool is unpacked in CI: the package would start a Prometheus.
const UNPACKED: &str = "target/packaging";

pub(crate) fn run() -> Result<()> {
    install_script()?;
    unit()?;
    proxy()?;
    rules()
}

/// Installs into a folder, twice, and refuses a program that is not what its sums say.
fn install_script() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (script, binary) = (root().join("packaging/install.sh"), folder.path().join("hearth"));
    std::fs::write(&binary, "#!/bin/sh\n")?;
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))?;
    let into = folder.path().join("root");
    let install = || {
        let mut install = program("sh", [&script]);
        install.arg("--binary").arg(&binary).arg("--root").arg(&into);
        install
    };
    check(&mut install())?;
    let environment = into.join("etc/hearth/environment");
    let secret = std::fs::read(&environment)?;
    check(&mut install())?;
    ensure!(std::fs::read(&environment)? == secret, "install.sh has replaced the webhook secret");
    ensure!(std::fs::metadata(&environment)?.permissions().mode() & 0o77 == 0, "others may read the secret");
    ensure!(into.join("usr/local/bin/hearth").exists(), "install.sh has installed no program");
    let sums = folder.path().join("SHA256SUMS");
    std::fs::write(&sums, format!("{}  hearth\n", "0".repeat(64)))?;
    let refused = install().arg("--sums").arg(&sums).output()?;
    ensure!(!refused.status.success(), "install.sh takes a program that its sums don't know");
    Ok(())
}

/// What nginx's own test does not see: without the port in `Host`, each form sent to another port than 443 is refused.
fn proxy() -> Result<()> {
    let text = std::fs::read_to_string(root().join("packaging/nginx.conf"))?;
    let hosts: Vec<_> =
        text.lines().filter_map(|line| line.trim().strip_prefix("proxy_set_header Host ")).collect();
    ensure!(hosts.iter().all(|host| *host == "$http_host;"), "nginx.conf: Host goes on as {hosts:?}");
    Ok(())
}

fn unit() -> Result<()> {
    let text = std::fs::read_to_string(root().join("packaging/hearth.service"))?;
    ensure!(text.contains("\nRestartPreventExitStatus=2\n"), "the unit starts again with what can't be read");
    if !is_installed("systemd-analyze") {
        println!("SKIPPED: the unit, for want of systemd-analyze");
        return Ok(());
    }
    // It wants the program and the secrets to be there.
    let text =
        text.replace("/usr/local/bin/hearth", "/bin/true").replace("EnvironmentFile=", "EnvironmentFile=-");
    let folder = tempfile::tempdir()?;
    let unit = folder.path().join("hearth.service");
    std::fs::write(&unit, text)?;
    check(program("systemd-analyze", ["verify", "--man=no"]).arg(&unit))
}

fn rules() -> Result<()> {
    let Some(promtool) = promtool()? else {
        println!("SKIPPED: alert rules, for want of promtool (Debian: prometheus)");
        return Ok(());
    };
    let folder = root().join("packaging/prometheus");
    let tool = |words: &[&str]| {
        let mut tool = program(&promtool.to_string_lossy(), words);
        tool.current_dir(&folder);
        tool
    };
    check(&mut tool(&["check", "config", "prometheus.yml"]))?;
    check(&mut tool(&["test", "rules", "alerts.test.yml"]))
}

/// The one that is installed; in CI, one that is unpacked.
fn promtool() -> Result<Option<PathBuf>> {
    if is_installed("promtool") {
        return Ok(Some("promtool".into()));
    }
    let folder = root().join(UNPACKED);
    let tool = folder.join("usr/bin/promtool");
    if !tool.exists() && std::env::var_os("CI").is_some() {
        unpack(&folder)?;
    }
    Ok(tool.exists().then_some(tool))
}

fn unpack(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let download = || {
        let mut download = program("apt-get", ["download", "--quiet", "prometheus"]);
        download.current_dir(folder);
        download
    };
    if check(&mut download()).is_err() {
        check(&mut program("apt-get", ["update", "--quiet"]))?;
        check(&mut download())?;
    }
    let files = output(program("ls", ["-t"]).current_dir(folder))?;
    let package =
        files.lines().find(|name| name.ends_with(".deb")).context("apt-get has downloaded no package")?;
    check(program("dpkg", ["-x", package, "."]).current_dir(folder))
}
