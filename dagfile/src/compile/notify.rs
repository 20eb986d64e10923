//! Who is told, checked.

use serde_saphyr::{Location, Spanned};
use towpath_common::dag::{Deadline, Notify};
use towpath_common::notification::{Channel, Occasion};

use super::Wrong;
use super::task::duration;
use crate::authored::{AuthoredChannel, AuthoredDag, AuthoredDeadline, TaskSettings};

/// What a task's settings say.
pub fn of_task(settings: &TaskSettings, wrong: &mut Wrong) -> Notify {
    let authored = [
        (Occasion::Failure, &settings.on_failure),
        (Occasion::Retry, &settings.on_retry),
        (Occasion::Success, &settings.on_success),
        (Occasion::Skipped, &settings.on_skipped),
    ];
    let given =
        authored.into_iter().filter_map(|(occasion, list)| Some((occasion, list.as_ref()?)));
    given.map(|(occasion, list)| (occasion, channels(list, wrong))).collect()
}

/// What the Dag says of its runs.
pub fn of_dag(dag: &AuthoredDag, wrong: &mut Wrong) -> Notify {
    let authored = [(Occasion::Failure, &dag.on_failure), (Occasion::Success, &dag.on_success)];
    let given = authored.into_iter().filter(|(_, list)| !list.is_empty());
    given.map(|(occasion, list)| (occasion, channels(list, wrong))).collect()
}

pub fn deadlines(authored: &[AuthoredDeadline], wrong: &mut Wrong) -> Vec<Deadline> {
    let mut deadlines = Vec::new();
    for deadline in authored {
        let reference = wrong.word("what a deadline is counted from", Some(&deadline.reference));
        let interval = duration(Some(&deadline.interval), wrong);
        let notify = channels(&deadline.notify, wrong);
        if let (Some(reference), Some(interval)) = (reference, interval) {
            deadlines.push(Deadline { reference, interval, notify });
        }
    }
    deadlines
}

fn channels(authored: &[Spanned<AuthoredChannel>], wrong: &mut Wrong) -> Vec<Channel> {
    authored.iter().filter_map(|one| channel(one, wrong)).collect()
}

fn channel(authored: &Spanned<AuthoredChannel>, wrong: &mut Wrong) -> Option<Channel> {
    let AuthoredChannel { webhook, slack, email } = authored.value.clone();
    let mut channels = Vec::new();
    channels.extend(webhook.map(|webhook| Channel::Webhook {
        url: webhook.url.value,
        headers: webhook.headers,
        body: webhook.body,
    }));
    channels.extend(slack.map(|slack| Channel::Slack { url: slack.url.value, text: slack.text }));
    channels.extend(email.map(|email| Channel::Email {
        connection: email.connection,
        to: email.to.value,
        subject: email.subject,
        body: email.body,
    }));
    if channels.len() != 1 {
        wrong.add(authored.referenced, "somebody is told by one of: webhook, slack, email");
        return None;
    }
    if matches!(&channels[0], Channel::Email { to, .. } if to.is_empty()) {
        wrong.add(authored.referenced, "the email has nobody in `to`; write a list of addresses");
    }
    channels.pop()
}

/// The templates of what is told, with their places.
pub fn templates(authored: &[Spanned<AuthoredChannel>]) -> Vec<(String, Location)> {
    let mut ignored = Wrong::default();
    let of_one = |one: &Spanned<AuthoredChannel>| {
        let texts = channel(one, &mut ignored).map(|channel| channel.templates());
        texts.unwrap_or_default().into_iter().map(|text| (text, one.referenced)).collect::<Vec<_>>()
    };
    authored.iter().flat_map(of_one).collect()
}
