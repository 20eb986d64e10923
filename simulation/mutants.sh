#!/usr/bin/env bash
# Breaks Towpath in places that matter, one at a time and in a copy, and shows that the simulation sees each.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
seeds="${SEEDS:-600}"
copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
# Of its own: cargo would take the broken for the whole.
export CARGO_TARGET_DIR="$root/target/mutants"
unseen=0

mutant() { # WHAT FILE FROM TO
    rm -rf "${copy:?}"/*
    git -C "$root" ls-files -z | tar -C "$root" --null --files-from=- -c | tar -C "$copy" -x --touch
    FROM="$3" TO="$4" perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/ or die "$ARGV does not hold: $ENV{FROM}\n"' "$copy/$2"
    (cd "$copy" && cargo build --quiet --locked -p towpath-simulation)
    if found="$("$CARGO_TARGET_DIR/debug/towpath-sim" 1 --count "$seeds" --first)"; then
        echo "NOT SEEN in $seeds seeds: $1"
        unseen=1
    else
        echo "seen: $1"
        echo "$found" | grep -A1 '^seed' | head -2 | cut -c1-160 | sed 's/^/    /'
    fi
}

mutant "a leader that was replaced commits" backends/src/store/memory.rs \
    "held.is_some_and(|held| held.holder == lease.holder && held.term == lease.term)" "held.is_some()"
mutant "an attempt is given to whoever asks" backends/src/store/memory/working.rs \
    "let free = instance.state == TaskState::Queued || this_call;" "let free = true; let _ = this_call;"
mutant "what the queue has lost stays lost" scheduler/src/sweep.rs \
    "again.push(Dispatch {" "drop(Dispatch {"
mutant "a container that has vanished was a success" worker/src/attempt.rs \
    "Ok(ended) => End::Report(Outcome::Failed(explain(ended)))," \
    "Ok(Ended::Vanished(_)) => End::Report(Outcome::Success { outputs: Outputs::new() }), Ok(ended) => End::Report(Outcome::Failed(explain(ended))),"
exit "$unseen"
