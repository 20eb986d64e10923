//! A network namespace with one way out, which can be cut; and the services at the end of it.

use std::net::SocketAddr;
use std::process::Command;

use tokio::net::{TcpListener, TcpStream};

use crate::docker::run;

/// Removed when it is dropped.
pub struct Namespace {
    name: String,
    outer: String,
    host: String,
}

impl Namespace {
    /// Its network has the number of this process, so that several can be.
    pub fn make() -> anyhow::Result<Self> {
        let id = std::process::id();
        let name = format!("towpath-{id}");
        let (outer, inner) = (format!("tpo{id}"), format!("tpi{id}"));
        let net = format!("10.213.{}", id % 250);
        let (host, guest) = (format!("{net}.1"), format!("{net}.2"));
        run("ip", &["netns", "add", &name])?;
        let made = Self { name: name.clone(), outer: outer.clone(), host: host.clone() };
        run("ip", &["link", "add", &outer, "type", "veth", "peer", "name", &inner])?;
        run("ip", &["link", "set", &inner, "netns", &name])?;
        run("ip", &["addr", "add", &format!("{host}/24"), "dev", &outer])?;
        run("ip", &["link", "set", &outer, "up"])?;
        let inside = |args: &[&str]| run("ip", &[&["-n", name.as_str()], args].concat());
        inside(&["addr", "add", &format!("{guest}/24"), "dev", &inner])?;
        inside(&["link", "set", &inner, "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        Ok(made)
    }

    /// Where a service of this machine's loopback is reached from within.
    pub async fn way_to(&self, port: u16) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((self.host.as_str(), 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A service that is away is a connection that ends.
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(address)
    }

    /// The same command, within.
    pub fn within(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name]).arg(command.get_program());
        inside.args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = command.get_current_dir() {
            inside.current_dir(dir);
        }
        inside
    }

    pub fn cut(&self) -> anyhow::Result<()> {
        run("ip", &["link", "set", &self.outer, "down"]).map(drop)
    }

    pub fn mend(&self) -> anyhow::Result<()> {
        run("ip", &["link", "set", &self.outer, "up"]).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The other end of the cable goes with it.
        let _ = run("ip", &["netns", "delete", &self.name]);
        let _ = run("ip", &["link", "delete", &self.outer]);
    }
}
