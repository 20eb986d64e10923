//! Admission by example and by property.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_micros(0);

fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a name")
}

fn pool(name: &str, slots: u32) -> Pool {
    Pool { name: PoolName::new(name).expect("a name"), slots, include_deferred: false }
}

fn run(number: u128) -> RunKey {
    RunKey(uuid::Uuid::from_u128(number))
}

fn demand(dag: &str) -> Demand {
    Demand {
        lane: queue("default"),
        dag_id: DagId::new(dag).expect("a name"),
        team: String::new(),
        task: 0,
        task_id: TaskId::new("t").expect("a name"),
        logical_date: NOW,
        weight: 1,
        pool: PoolName::new("default_pool").expect("a name"),
        pool_slots: 1,
        per_dag: None,
        per_run: None,
        per_task_in_dag: None,
        per_task_in_run: None,
    }
}

fn of_pool(dag: &str, pool: &str, pool_slots: u32) -> Demand {
    Demand { pool: PoolName::new(pool).expect("a name"), pool_slots, ..demand(dag) }
}

#[test]
fn a_lane_never_lets_out_more_than_its_window_and_forgets_nobody() {
    let mut lanes = Lanes::default();
    for instance in 0..100 {
        let date = Timestamp::from_micros(i64::from(instance % 7));
        lanes.wait((run(0), instance), Demand { logical_date: date, ..demand("d") });
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        let admitted = lanes.admit(NOW);
        assert!(!admitted.is_empty() && admitted.len() <= WINDOW_MIN);
        assert!(lanes.admit(NOW).is_empty(), "the window is full");
        for place in admitted {
            assert!(seen.insert(place), "admitted twice");
            lanes.note_taken(&queue("default"), place);
            lanes.give_back(place);
        }
    }
}

#[test]
fn the_greater_weight_goes_first_and_then_the_earlier_date() {
    let mut lanes = Lanes::default();
    for (number, (date, weight)) in [(3, 1), (1, 1), (2, 1), (9, 5)].into_iter().enumerate() {
        let logical_date = Timestamp::from_micros(date);
        let demand = Demand { logical_date, weight, ..demand("d") };
        lanes.wait((run(number as u128), 0), demand);
    }
    let order: Vec<_> = lanes.admit(NOW).iter().map(|(run, _)| run.0.as_u128()).collect();
    assert_eq!(order, [3, 1, 2, 0]);
}

#[test]
fn dags_of_equal_weight_go_in_turn() {
    let mut lanes = Lanes::default();
    for instance in 0..100 {
        lanes.wait((run(1), instance), demand("many"));
    }
    for instance in 0..10 {
        lanes.wait((run(2), instance), demand("few"));
    }
    let admitted = lanes.admit(NOW);
    let few = admitted.iter().filter(|(of, _)| *of == run(2)).count();
    assert_eq!((admitted.len(), few), (32, 10));
}

/// A team with many Dags gets no more turns than one with a single Dag.
#[test]
fn teams_go_in_turn() {
    let mut lanes = Lanes::default();
    let of_team = |dag: &str, team: &str| Demand { team: team.to_owned(), ..demand(dag) };
    for (number, dag) in (1..).zip(["a", "b", "c"]) {
        for instance in 0..100 {
            lanes.wait((run(number), instance), of_team(dag, "large"));
        }
    }
    for instance in 0..100 {
        lanes.wait((run(9), instance), of_team("d", "small"));
    }
    let admitted = lanes.admit(NOW);
    let small = admitted.iter().filter(|(of, _)| *of == run(9)).count();
    assert_eq!((admitted.len(), small), (32, 16));
}

#[test]
fn a_full_lane_holds_nobody_back_in_another() {
    let mut lanes = Lanes::default();
    for instance in 0..50 {
        lanes.wait((run(0), instance), Demand { lane: queue("slow"), ..demand("d") });
    }
    lanes.admit(NOW);
    lanes.wait((run(0), 99), Demand { lane: queue("fast"), ..demand("d") });
    let next: Vec<_> = lanes.admit(NOW).iter().map(|(_, instance)| *instance).collect();
    assert_eq!(next, [99]);
}

#[test]
fn the_window_follows_the_workers() {
    let mut lanes = Lanes::default();
    lanes.set_slots(&BTreeMap::from([(queue("default"), 100)]));
    for instance in 0..300 {
        lanes.wait((run(0), instance), demand("d"));
    }
    assert_eq!(lanes.admit(NOW).len(), 200);
}

#[test]
fn every_limit_holds_and_is_named() {
    let check = |demand: Demand, most: usize, words: &str| {
        let mut lanes = Lanes::default();
        lanes.set_pools(vec![pool("small", 3)]);
        for instance in 0..20 {
            lanes.wait((run(0), instance), demand.clone());
        }
        assert_eq!(lanes.admit(NOW).len(), most, "{demand:?}");
        let refusal = lanes.refusal(run(0), &demand).expect("held back").to_string();
        assert!(refusal.contains(words), "{refusal}");
    };
    check(of_pool("d", "small", 1), 3, "0 of 3 slots free");
    check(of_pool("d", "small", 2), 1, "1 of 3 slots free and it takes 2");
    check(of_pool("d", "small", 4), 0, "only 3 in all");
    check(of_pool("d", "nowhere", 1), 0, "no pool \"nowhere\"");
    check(Demand { per_dag: Some(5), ..demand("d") }, 5, "max_active_tasks_per_dag is 5");
    check(Demand { per_run: Some(4), ..demand("d") }, 4, "max_active_tasks_per_run is 4");
    check(Demand { per_task_in_dag: Some(2), ..demand("d") }, 2, "max_active_tis_per_dag is 2");
    check(Demand { per_task_in_run: Some(1), ..demand("d") }, 1, "max_active_tis_per_dagrun is 1");
}

#[test]
fn what_is_too_large_for_now_lets_smaller_ones_by_and_is_not_starved() {
    let mut lanes = Lanes::default();
    lanes.set_pools(vec![pool("p", 4)]);
    lanes.wait((run(9), 0), of_pool("large", "p", 4));
    let mut out: Vec<Place> = Vec::new();
    let mut small = 0..;
    for _ in 0..4 * PASSES_MAX {
        // There is always another small one waiting, and one of those that are out ends.
        for _ in 0..4 {
            lanes.wait((run(1), small.next().expect("endless")), of_pool("small", "p", 1));
        }
        let admitted = lanes.admit(NOW);
        if admitted.contains(&(run(9), 0)) {
            return;
        }
        admitted.iter().for_each(|place| lanes.note_taken(&queue("default"), *place));
        out.extend(admitted);
        if !out.is_empty() {
            lanes.give_back(out.remove(0));
        }
    }
    panic!("the large one never had its turn");
}

proptest! {
    /// Whatever waits and however it is limited: as what is out ends, everything goes, no limit is ever
    /// passed, and what could go is passed over by no more than a bounded number of passes.
    #[test]
    fn everything_has_its_turn(
        tasks in prop::collection::vec((0u32..4, 1u32..4, 1i32..5, 0usize..3), 1..60),
    ) {
        let mut lanes = Lanes::default();
        lanes.set_pools(vec![pool("p0", 3), pool("p1", 5), pool("p2", 100)]);
        let mut demands = BTreeMap::new();
        for (number, (dag, slots, weight, of)) in tasks.iter().enumerate() {
            let demand = Demand {
                weight: *weight,
                per_dag: Some(4),
                ..of_pool(&format!("d{dag}"), &format!("p{of}"), *slots)
            };
            let place = (run(number as u128), 0);
            demands.insert(place, demand.clone());
            lanes.wait(place, demand);
        }
        let mut done = BTreeSet::new();
        for _ in 0..tasks.len() {
            let admitted = lanes.admit(NOW);
            prop_assert!(!admitted.is_empty() || done.len() == tasks.len(), "nothing goes");
            for of in 0..3 {
                let pool = format!("p{of}");
                let taken: u32 = admitted.iter().map(|place| &demands[place])
                    .filter(|demand| demand.pool.as_str() == pool).map(|d| d.pool_slots).sum();
                prop_assert!(taken <= [3, 5, 100][of]);
            }
            for place in admitted {
                prop_assert!(done.insert(place));
                lanes.note_taken(&queue("default"), place);
                lanes.give_back(place);
            }
        }
        prop_assert_eq!(done.len(), tasks.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Heavier ones come in every pass, more than can go, and the oldest of each pool ends: what waits has its turn
    /// within so many passes all the same.
    #[test]
    fn nobody_waits_for_more_than_so_many_passes(
        victims in prop::collection::vec((0u32..3, 1u32..5, 0usize..2), 1..12),
        arrivals in prop::collection::vec((0u32..5, 1u32..3, 0usize..2), 4..9),
    ) {
        const POOL: u32 = 6;
        let mut lanes = Lanes::default();
        lanes.set_pools(vec![pool("p0", POOL), pool("p1", POOL)]);
        let mut waiting = BTreeSet::new();
        for (number, (dag, slots, of)) in victims.iter().enumerate() {
            let place = (run(1000 + number as u128), 0);
            waiting.insert(place);
            lanes.wait(place, of_pool(&format!("d{dag}"), &format!("p{of}"), *slots));
        }
        let mut pools: BTreeMap<Place, usize> =
            victims.iter().enumerate().map(|(n, v)| ((run(1000 + n as u128), 0), v.2)).collect();
        let mut out: [Vec<Place>; 2] = Default::default();
        // Every one of them may have to wait for its own passes, and for its pool to empty after them.
        let most = PASSES_MAX + victims.len() as u64 * (PASSES_MAX + u64::from(POOL));
        for pass in 0..most {
            for (dag, slots, of) in &arrivals {
                let number = u32::try_from(pools.len()).expect("few");
                let demand = of_pool(&format!("d{dag}"), &format!("p{of}"), *slots);
                pools.insert((run(1), number), *of);
                lanes.wait((run(1), number), Demand { weight: 9, task: number, ..demand });
            }
            for place in lanes.admit(NOW) {
                waiting.remove(&place);
                lanes.note_taken(&queue("default"), place);
                out[pools[&place]].push(place);
            }
            if waiting.is_empty() {
                break;
            }
            prop_assert!(pass + 1 < most, "{waiting:?} still wait");
            for out in &mut out {
                if !out.is_empty() {
                    lanes.give_back(out.remove(0));
                }
            }
        }
    }
}
