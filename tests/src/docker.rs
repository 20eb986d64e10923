//! Docker for the tests: an image from nothing but this machine's own files, and what is left over.

use std::process::Command;

use anyhow::{Context, bail};

/// A small image with a shell, made from this machine's busybox.
pub const BUSYBOX: &str = "towpath-test/busybox:1";

pub fn run(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Asks the Docker at that address, which may be there and not answer.
pub fn run_at(host: &str, args: &[&str]) -> anyhow::Result<String> {
    run("timeout", &[&["10", "docker", "--host", host], args].concat())
}

/// Makes the image if it is not there.
pub fn busybox_image() -> anyhow::Result<()> {
    if run("docker", &["image", "inspect", BUSYBOX]).is_ok() {
        return Ok(());
    }
    make_busybox_image("docker")
}

pub fn busybox_image_at(host: &str) -> anyhow::Result<()> {
    make_busybox_image(&format!("docker --host {host}"))
}

fn make_busybox_image(docker: &str) -> anyhow::Result<()> {
    let script = format!(
        "set -e; dir=$(mktemp -d); mkdir -p $dir/bin $dir/tmp; chmod 1777 $dir/tmp; \
         cp /bin/busybox $dir/bin/busybox; \
         for name in $(/bin/busybox --list | grep -vx busybox); do ln -s busybox $dir/bin/$name; done; \
         tar -C $dir -c . | {docker} import --change 'ENV PATH=/bin' - {BUSYBOX}; rm -r $dir"
    );
    run("sh", &["-c", &script]).map(drop)
}

/// The containers of one installation, running or not.
pub fn containers_of(installation: &str) -> anyhow::Result<Vec<String>> {
    containers_by(|args| run("docker", args), installation)
}

pub fn containers_at(host: &str, installation: &str) -> anyhow::Result<Vec<String>> {
    containers_by(|args| run_at(host, args), installation)
}

fn containers_by(
    ask: impl Fn(&[&str]) -> anyhow::Result<String>,
    installation: &str,
) -> anyhow::Result<Vec<String>> {
    let filter = format!("label=towpath.installation={installation}");
    let names = ask(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])?;
    Ok(names.lines().map(str::to_owned).collect())
}
