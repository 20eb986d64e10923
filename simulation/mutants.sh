#!/usr/bin/env bash
# Breaks Towpath in places that matter, in a copy that is built once, and shows that the simulation sees each of them.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
seeds="${SEEDS:-400}"
copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
# Of its own: cargo would take the broken for the whole. What others wrote is taken from where it is built already.
export CARGO_TARGET_DIR="$root/target/mutants" CARGO_INCREMENTAL=0
unset RUSTC_WORKSPACE_WRAPPER # The broken need not be pretty.
rm -rf "$CARGO_TARGET_DIR"
mkdir -p "$CARGO_TARGET_DIR/debug"
for built in deps build .fingerprint; do
    [ ! -d "$root/target/debug/$built" ] || cp -al "$root/target/debug/$built" "$CARGO_TARGET_DIR/debug"
done
names=()

mutant() { # NAME FILE FROM TO, in which BROKEN is whether this one is played
    FROM="$3" TO="${4//BROKEN/towpath_common::is_broken(\"$1\")}" perl -0pi -e \
        's/\Q$ENV{FROM}\E/$ENV{TO}/ or die "$ARGV does not hold: $ENV{FROM}\n"' "$copy/$2"
    names+=("$1")
}

git -C "$root" ls-files -z | tar -C "$root" --null --files-from=- -c | tar -C "$copy" -x --touch
cat >> "$copy/common/src/lib.rs" <<'RUST'

pub fn is_broken(name: &str) -> bool {
    static BROKEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BROKEN.get_or_init(|| std::env::var("MUTANT").unwrap_or_default()) == name
}
RUST

mutant "a leader that was replaced commits" backends/src/store/memory.rs \
    "held.is_some_and(|held| held.holder == lease.holder && held.term == lease.term)" \
    "held.is_some_and(|held| BROKEN || held.holder == lease.holder && held.term == lease.term)"
mutant "an attempt is given to whoever asks" backends/src/store/memory/working.rs \
    "let free = instance.state == TaskState::Queued || this_call;" \
    "let free = BROKEN || instance.state == TaskState::Queued || this_call;"
mutant "what the queue has lost stays lost" scheduler/src/sweep.rs \
    "filter(|(_, key)| !claimed(key))" "filter(|(_, key)| !BROKEN && !claimed(key))"
mutant "a container that has vanished was a success" worker/src/attempt.rs \
    "Ok(ended) => End::Report(Outcome::Failed(explain(ended)))," \
    "Ok(Ended::Vanished(_)) if BROKEN => End::Report(Outcome::Success { outputs: Outputs::new() }), Ok(ended) => End::Report(Outcome::Failed(explain(ended))),"
mutant "what an earlier life of the worker had claimed is forgotten" worker/src/adoption.rs \
    "filter(|key| !before.contains(key)" "filter(|key| !BROKEN && !before.contains(key)"
mutant "what is nobody's is left where it is" worker/src/adoption.rs \
    "filter(|stray| !current.contains(stray)" "filter(|stray| !BROKEN && !current.contains(stray)"
mutant "a new leader forgets who waits for another try" scheduler/src/world/runs.rs \
    "if let Some(at) = instance.retry_at {" "if let Some(at) = instance.retry_at.filter(|_| !BROKEN) {"
mutant "a new leader forgets what is waited for" scheduler/src/world/runs.rs \
    "self.deferred.push(place);" "if !BROKEN { self.deferred.push(place); }"
mutant "a command is done with before it is obeyed" scheduler/src/cycle.rs \
    "self.obey(command).await?;" "if BROKEN { self.draft.consumed.push(item.id.clone()); } self.obey(command).await?;"
mutant "a pool has room for one more" scheduler/src/core/admission/usage.rs \
    "(needed > free)" "(needed > free + u32::from(BROKEN))"
mutant "as many runs begin as are there" scheduler/src/world/lots.rs \
    "room.saturating_sub(members.running.len())" "room.saturating_sub(if BROKEN { 0 } else { members.running.len() })"
mutant "one of those above is not waited for" scheduler/src/core/readiness.rs \
    "TriggerRule::AllSuccess => success + gone >= total," \
    "TriggerRule::AllSuccess => success + gone + u32::from(BROKEN) >= total,"
mutant "nobody tries again" scheduler/src/core/retry.rs \
    "(instance.failures < policy.retries, delay)" "(!BROKEN && instance.failures < policy.retries, delay)"
mutant "what the platform has lost is the task's own failure" scheduler/src/core/retry.rs \
    "if failure.class.is_infrastructure() {" "if !BROKEN && failure.class.is_infrastructure() {"
mutant "a worker that is told to end breaks off its claim" worker/src/intake.rs \
    "let patience = stopped_for(shutdown.clone(), desk.config.drain);" \
    "let patience = stopped_for(shutdown.clone(), desk.config.drain * u32::from(!BROKEN));"

(cd "$copy" && cargo build --quiet --locked --workspace --bin towpath-sim)
unseen=0
if ! MUTANT="" "$CARGO_TARGET_DIR/debug/towpath-sim" 0 --count 100 --first; then
    echo "What is whole is taken for broken."
    unseen=1
fi
for name in "${names[@]}"; do
    found="$(MUTANT="$name" timeout 300 "$CARGO_TARGET_DIR/debug/towpath-sim" 0 --count "$seeds" --first || true)"
    if grep -q '^seed' <<< "$found"; then
        echo "seen: $name"
        grep -A1 '^seed' <<< "$found" | head -2 | cut -c1-160 | sed 's/^/    /'
    else
        echo "NOT SEEN in $seeds seeds: $name"
        unseen=1
    fi
done
exit "$unseen"
