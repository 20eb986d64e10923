//! What containers may have, team by team.
//!
//! Whoever may deploy a Dag may write anything into it. What its containers then get on a worker's machine is for
//! those to say who keep the machine: in a file that the worker reads, and nobody else can change.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use wildmatch::WildMatch;

use crate::dag::{Container, Mount};

/// Teams that are not named have what `default` says. The policy of nobody's file allows nothing that reaches
/// beyond the container.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerPolicy {
    pub default: Allowed,
    pub teams: BTreeMap<String, Allowed>,
}

/// Patterns have `*` for any text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allowed {
    pub images: Vec<String>,
    /// That tasks may name; who names none has the worker's own. `host` and `container:…` only by those words, for they
    /// lead out of the container.
    pub networks: Vec<String>,
    pub users: Vec<String>,
    pub mounts: Vec<AllowedMount>,
    pub cap_add: Vec<String>,
    pub devices: Vec<String>,
    pub privileged: bool,
}

/// A folder of the worker's machine with all that is in it, or a volume.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedMount {
    pub source: String,
    #[serde(default)]
    pub read_only: bool,
}

impl Default for Allowed {
    fn default() -> Self {
        let any = || vec!["*".to_owned()];
        Self {
            images: any(),
            networks: vec!["none".to_owned()],
            users: any(),
            mounts: Vec::new(),
            cap_add: Vec::new(),
            devices: Vec::new(),
            privileged: false,
        }
    }
}

impl ContainerPolicy {
    /// Allows besides each source of a mount what it leads to.
    pub fn with_sources_found(mut self, found: impl Fn(&str) -> Option<String>) -> Self {
        for allowed in self.teams.values_mut().chain([&mut self.default]) {
            let mounts = allowed.mounts.iter();
            let as_found: Vec<AllowedMount> = mounts
                .filter_map(|mount| Some(AllowedMount { source: found(&mount.source)?, ..*mount }))
                .collect();
            allowed.mounts.extend(as_found);
        }
        self
    }

    /// The first thing that the team's container may not have.
    pub fn check(&self, team: Option<&str>, container: &Container) -> Result<(), String> {
        let allowed = team.and_then(|team| self.teams.get(team)).unwrap_or(&self.default);
        allowed.refused(container).map_or(Ok(()), |what| {
            let whose =
                team.map_or_else(|| "without a team".to_owned(), |t| format!("of team {t}"));
            Err(format!("{what} is not allowed to tasks {whose} (container policy)"))
        })
    }
}

impl Allowed {
    fn refused(&self, container: &Container) -> Option<String> {
        let Container { image, user, network, cap_add, devices, .. } = container;
        let unfit = |key: &str, values: &[String], patterns: &[String]| {
            let unfit = values.iter().find(|value| !fits(patterns, value));
            unfit.map(|value| format!("{key} {value}"))
        };
        let leads_out = |name: &str| name == "host" || name.starts_with("container:");
        let network_out =
            network.iter().find(|name| leads_out(name) && !self.networks.contains(name));
        // Without a user it is the image's, whoever that is.
        let no_user =
            (user.is_none() && !fits(&self.users, "")).then(|| "to name no user".to_owned());
        let mount = container.mounts.iter().find(|mount| !self.allows(mount));
        unfit("image", image.as_slice(), &self.images)
            .or_else(|| network_out.map(|name| format!("network {name}")))
            .or_else(|| unfit("network", network.as_slice(), &self.networks))
            .or_else(|| unfit("user", user.as_slice(), &self.users))
            .or(no_user)
            .or_else(|| unfit("cap_add", cap_add, &self.cap_add))
            .or_else(|| unfit("device", devices, &self.devices))
            .or_else(|| mount.map(|mount| format!("mount {mount}")))
            .or_else(|| (container.privileged && !self.privileged).then(|| "privileged".to_owned()))
    }

    fn allows(&self, mount: &Mount) -> bool {
        self.mounts.iter().any(|allowed| {
            lies_in(Path::new(&mount.source), Path::new(&allowed.source))
                && (mount.read_only || !allowed.read_only)
        })
    }
}

fn fits(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| WildMatch::new(pattern).matches(text))
}

/// By the words alone; the way may not lead upwards.
fn lies_in(path: &Path, dir: &Path) -> bool {
    path.starts_with(dir) && !path.components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &Allowed, container: Container, expected: Option<&str>) {
        let policy = ContainerPolicy { default: policy.clone(), ..ContainerPolicy::default() };
        let found = policy.check(None, &container).err();
        let found = found.as_deref().and_then(|why| why.split(" is not allowed").next());
        assert_eq!(found, expected, "{container:?}");
    }

    fn mount(source: &str, read_only: bool) -> Container {
        let mount = Mount { source: source.to_owned(), target: "/t".to_owned(), read_only };
        Container { mounts: vec![mount], ..Container::default() }
    }

    fn on(network: &str) -> Container {
        Container { network: Some(network.to_owned()), ..Container::default() }
    }

    #[test]
    fn nothing_leads_out_unless_it_is_allowed() {
        let none = Allowed::default();
        check(&none, Container::default(), None);
        check(&none, on("none"), None);
        check(&none, on("bridge"), Some("network bridge"));
        let any = Allowed { networks: vec!["*".to_owned()], ..none.clone() };
        check(&any, on("bridge"), None);
        check(&any, on("host"), Some("network host"));
        check(&none, on("host"), Some("network host"));
        check(&none, on("container:db"), Some("network container:db"));
        check(&none, mount("/", true), Some("mount /:/t:ro"));
        check(&none, mount("/var/run/docker.sock", false), Some("mount /var/run/docker.sock:/t"));
        let privileged = Container { privileged: true, ..Container::default() };
        check(&none, privileged.clone(), Some("privileged"));
        let capable = Container { cap_add: vec!["SYS_ADMIN".to_owned()], ..Container::default() };
        check(&none, capable, Some("cap_add SYS_ADMIN"));
        let device = Container { devices: vec!["/dev/kmsg".to_owned()], ..Container::default() };
        check(&none, device, Some("device /dev/kmsg"));
        check(&Allowed { privileged: true, ..none.clone() }, privileged, None);
        check(&Allowed { networks: vec!["host".to_owned()], ..none }, on("host"), None);
    }

    #[test]
    fn a_mount_lies_in_an_allowed_folder() {
        let allowed = AllowedMount { source: "/data/a".to_owned(), read_only: false };
        let policy = Allowed { mounts: vec![allowed.clone()], ..Allowed::default() };
        check(&policy, mount("/data/a", false), None);
        check(&policy, mount("/data/a/b", true), None);
        check(&policy, mount("/data/ab", true), Some("mount /data/ab:/t:ro"));
        check(&policy, mount("/data/a/../b", true), Some("mount /data/a/../b:/t:ro"));
        let read_only = AllowedMount { read_only: true, ..allowed };
        let policy = Allowed { mounts: vec![read_only], ..Allowed::default() };
        check(&policy, mount("/data/a", true), None);
        check(&policy, mount("/data/a", false), Some("mount /data/a:/t"));
    }

    #[test]
    fn whose_users_are_named_names_one() {
        let policy = Allowed { users: vec!["1000:*".to_owned()], ..Allowed::default() };
        let by = |user: Option<&str>| Container {
            user: user.map(str::to_owned),
            ..Container::default()
        };
        check(&policy, by(Some("1000:1000")), None);
        check(&policy, by(Some("0")), Some("user 0"));
        check(&policy, by(None), Some("to name no user"));
    }

    #[test]
    fn a_team_has_its_own() {
        let images =
            |pattern: &str| Allowed { images: vec![pattern.to_owned()], ..Allowed::default() };
        let policy = ContainerPolicy {
            default: images("library/*"),
            teams: BTreeMap::from([("a".to_owned(), images("registry/a/*"))]),
        };
        let image = |name: &str| Container { image: Some(name.to_owned()), ..Container::default() };
        assert_eq!(policy.check(Some("a"), &image("registry/a/x:1")), Ok(()));
        assert_eq!(policy.check(Some("b"), &image("library/x")), Ok(()));
        let why = policy.check(Some("a"), &image("library/x")).expect_err("refused");
        assert_eq!(why, "image library/x is not allowed to tasks of team a (container policy)");
    }
}
