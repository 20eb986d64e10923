//! Every rule over every combination of up to four upstream instances, against the rule in words.

use super::*;
use towpath_common::state::TaskState;

/// What an upstream instance can be to a rule.
const STATES: [Option<TaskState>; 6] = [
    None,
    Some(TaskState::Success),
    Some(TaskState::Failed),
    Some(TaskState::UpstreamFailed),
    Some(TaskState::Skipped),
    Some(TaskState::Removed),
];

fn upstream(states: &[Option<TaskState>]) -> Upstream {
    let total = u32::try_from(states.len()).expect("few");
    let mut counts = UpstreamCounts { total, ..UpstreamCounts::default() };
    states.iter().flatten().for_each(|state| counts.count(*state));
    Upstream { counts, setups: SetupCounts::default(), map_index: None }
}

fn all_combinations(check: impl Fn(&[Option<TaskState>])) {
    for count in 1..=4u32 {
        for number in 0..6usize.pow(count) {
            let states: Vec<_> =
                (0..count).map(|place| STATES[number / 6usize.pow(place) % 6]).collect();
            check(&states);
        }
    }
}

fn is(state: TaskState) -> impl Fn(&Option<TaskState>) -> bool {
    move |other| *other == Some(state)
}

fn is_broken(state: &Option<TaskState>) -> bool {
    matches!(state, Some(TaskState::Failed | TaskState::UpstreamFailed))
}

/// The rule in words, over the states themselves.
fn in_words(rule: TriggerRule, states: &[Option<TaskState>]) -> Verdict {
    let any = |what: &dyn Fn(&Option<TaskState>) -> bool| states.iter().any(what);
    let all = |what: &dyn Fn(&Option<TaskState>) -> bool| states.iter().all(what);
    let (success, skipped) = (is(TaskState::Success), is(TaskState::Skipped));
    let done = all(&|state| state.is_some());
    let first = |cases: &[(bool, Verdict)]| {
        cases.iter().find(|(holds, _)| *holds).map_or(Verdict::Wait, |(_, verdict)| *verdict)
    };
    use Verdict::{Run, Skip, UpstreamFailed};
    match rule {
        TriggerRule::AllSuccess => {
            first(&[(any(&is_broken), UpstreamFailed), (any(&skipped), Skip), (all(&success), Run)])
        }
        TriggerRule::AllFailed => {
            first(&[(any(&success) || any(&skipped), Skip), (all(&is_broken), Run)])
        }
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess => first(&[(done, Run)]),
        TriggerRule::AllSkipped => {
            first(&[(any(&success) || any(&is_broken), Skip), (all(&skipped), Run)])
        }
        TriggerRule::OneSuccess => {
            first(&[(any(&success), Run), (all(&skipped), Skip), (done, UpstreamFailed)])
        }
        TriggerRule::OneFailed => first(&[(any(&is_broken), Run), (done, Skip)]),
        TriggerRule::OneDone => {
            first(&[(any(&success) || any(&is(TaskState::Failed)), Run), (done, Skip)])
        }
        TriggerRule::NoneFailed => first(&[
            (any(&is_broken), UpstreamFailed),
            (all(&|state| success(state) || skipped(state)), Run),
        ]),
        TriggerRule::NoneFailedMinOneSuccess => first(&[
            (any(&is_broken), UpstreamFailed),
            (all(&skipped), Skip),
            (all(&|state| success(state) || skipped(state)), Run),
        ]),
        TriggerRule::NoneSkipped => first(&[(any(&skipped), Skip), (done, Run)]),
        TriggerRule::AllDoneMinOneSuccess => {
            first(&[(any(&skipped), Skip), (done && any(&success), Run), (done, UpstreamFailed)])
        }
        TriggerRule::Always => Run,
    }
}

#[test]
fn every_rule_over_all_small_cases() {
    for rule in TriggerRule::ALL {
        all_combinations(|states| {
            let judged = judge(*rule, &upstream(states));
            assert_eq!(judged, in_words(*rule, states), "{rule} over {states:?}");
        });
    }
}

#[test]
fn nothing_upstream_runs_at_once_whatever_the_rule() {
    for rule in TriggerRule::ALL {
        assert_eq!(judge(*rule, &upstream(&[])), Verdict::Run, "{rule}");
    }
}

#[test]
fn what_was_removed_does_not_hold_back_a_mapped_instance() {
    let states = [Some(TaskState::Success), Some(TaskState::Removed)];
    let of = |map_index| Upstream { map_index, ..upstream(&states) };
    assert_eq!(judge(TriggerRule::AllSuccess, &of(Some(0))), Verdict::Run);
    assert_eq!(judge(TriggerRule::AllSuccess, &of(Some(1))), Verdict::Remove);
    assert_eq!(judge(TriggerRule::AllSuccess, &of(None)), Verdict::Wait);
}

#[test]
fn a_teardown_runs_if_one_of_its_setups_succeeded() {
    let check = |success, skipped, expected| {
        let done = [Some(TaskState::Failed), Some(TaskState::Success)];
        let setups = SetupCounts { total: 2, success, skipped };
        let upstream = Upstream { setups, ..upstream(&done) };
        assert_eq!(judge(TriggerRule::AllDoneSetupSuccess, &upstream), expected);
    };
    check(1, 0, Verdict::Run);
    check(0, 2, Verdict::Skip);
    check(0, 1, Verdict::UpstreamFailed);
}
