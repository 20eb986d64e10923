-- Runs on PostgreSQL and on SQLite alike. Two column types: BIGINT (times are microseconds since the
-- epoch, UTC; flags are 0 and 1) and TEXT (states, names, UUIDs, and JSON that SQL does not look into).

CREATE TABLE dag_version (
    version TEXT NOT NULL PRIMARY KEY,
    dag_id TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- NULL: it was never the Dag's version, but a part of one.
    deployed_at BIGINT,
    -- The DAG file as it was deployed last.
    source TEXT
);

CREATE INDEX dag_version_deployed ON dag_version (dag_id, deployed_at);

CREATE TABLE dag (
    dag_id TEXT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL REFERENCES dag_version (version),
    paused BIGINT NOT NULL CHECK (paused IN (0, 1)),
    source_dir TEXT,
    -- Of the version, for lists.
    team TEXT,
    description TEXT NOT NULL,
    -- A JSON list.
    tags TEXT NOT NULL,
    -- What the latest scheduled run covers.
    last_interval_start BIGINT,
    last_interval_end BIGINT,
    failed_in_a_row BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE dag_run (
    run_key TEXT NOT NULL PRIMARY KEY,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    run_type TEXT NOT NULL CHECK (run_type IN ('scheduled', 'manual', 'backfill', 'asset_triggered')),
    version TEXT NOT NULL REFERENCES dag_version (version),
    logical_date BIGINT NOT NULL,
    interval_start BIGINT NOT NULL,
    interval_end BIGINT NOT NULL,
    params TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'success', 'failed')),
    queued_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    clear_number BIGINT NOT NULL DEFAULT 0,
    backfill_id TEXT,
    asset_events TEXT NOT NULL DEFAULT '[]',
    UNIQUE (dag_id, run_id)
);

CREATE INDEX dag_run_date ON dag_run (dag_id, logical_date);
CREATE INDEX dag_run_queued ON dag_run (queued_at, run_key);
CREATE INDEX dag_run_dag_queued ON dag_run (dag_id, queued_at, run_key);
CREATE INDEX dag_run_backfill ON dag_run (backfill_id) WHERE backfill_id IS NOT NULL;

CREATE TABLE backfill (
    backfill_id TEXT NOT NULL PRIMARY KEY,
    dag_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'cancelled', 'completed')),
    spec TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE asset_event (
    sequence BIGINT NOT NULL PRIMARY KEY,
    asset TEXT NOT NULL,
    at BIGINT NOT NULL,
    source TEXT NOT NULL
);

CREATE INDEX asset_event_asset ON asset_event (asset, sequence);

CREATE TABLE asset_offset (
    dag_id TEXT NOT NULL,
    asset TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (dag_id, asset)
);

CREATE TABLE pool (
    name TEXT NOT NULL PRIMARY KEY,
    slots BIGINT NOT NULL CHECK (slots >= 0),
    include_deferred BIGINT NOT NULL CHECK (include_deferred IN (0, 1))
);

CREATE INDEX dag_run_live ON dag_run (run_key) WHERE state IN ('queued', 'running');

-- The wide table: written several times for every task. No index may name a column that a transition
-- changes, for such an index ends PostgreSQL's heap-only updates.
CREATE TABLE task_instance (
    run_key TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN (
        'none', 'scheduled', 'queued', 'running', 'deferred', 'up_for_retry', 'up_for_reschedule',
        'success', 'failed', 'upstream_failed', 'skipped', 'removed'
    )),
    attempt BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    losses BIGINT NOT NULL,
    worker TEXT,
    retry_at BIGINT,
    queued_at BIGINT,
    started_at BIGINT,
    ended_at BIGINT,
    failure TEXT,
    waiting_since BIGINT,
    -- A JSON list of the tasks that the instance has decided to skip.
    excluded TEXT,
    PRIMARY KEY (run_key, task_id, map_index)
);

-- Attempts that ended without ending their instance. The last one is in task_instance.
CREATE TABLE ended_attempt (
    run_key TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    state TEXT NOT NULL,
    failures BIGINT NOT NULL,
    losses BIGINT NOT NULL,
    worker TEXT,
    retry_at BIGINT,
    queued_at BIGINT,
    started_at BIGINT,
    ended_at BIGINT,
    failure TEXT,
    waiting_since BIGINT,
    excluded TEXT,
    PRIMARY KEY (run_key, task_id, map_index, attempt)
);

-- What is known of the containers that attempts ran in, as JSON.
CREATE TABLE attempt_facts (
    run_key TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (run_key, task_id, map_index, attempt)
);

CREATE TABLE xcom (
    run_key TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index BIGINT NOT NULL,
    xcom_key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_key, task_id, map_index, xcom_key)
);

-- Variables and connections. Only who holds the key reads what is sealed.
CREATE TABLE vault_entry (
    kind TEXT NOT NULL CHECK (kind IN ('variable', 'connection')),
    name TEXT NOT NULL,
    sealed TEXT NOT NULL,
    secret BIGINT NOT NULL CHECK (secret IN (0, 1)),
    description TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE notification (
    notification_key TEXT NOT NULL PRIMARY KEY,
    run_key TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'undeliverable')),
    -- When it is tried next, or was settled.
    at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL
);

CREATE INDEX notification_waiting ON notification (at) WHERE state = 'waiting';

CREATE TABLE inbox (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE lease (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    term BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE worker (
    worker TEXT NOT NULL PRIMARY KEY,
    queues TEXT NOT NULL,
    slots BIGINT NOT NULL,
    running BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    draining BIGINT NOT NULL DEFAULT 0 CHECK (draining IN (0, 1))
);

CREATE TABLE installation (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL
);
