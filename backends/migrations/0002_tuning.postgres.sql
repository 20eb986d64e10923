-- Room on the page for the next version of a row, so that an update need not touch the primary key.
ALTER TABLE task_instance SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE inbox SET (autovacuum_vacuum_scale_factor = 0.05);

-- For people who look into their database: real timestamps.
CREATE VIEW dag_runs AS
SELECT
    dag_run.dag_id, dag_run.run_id, dag_run.run_type, dag_run.state,
    to_timestamp(dag_run.logical_date / 1e6) AS logical_date,
    to_timestamp(dag_run.queued_at / 1e6) AS queued_at,
    to_timestamp(dag_run.started_at / 1e6) AS started_at,
    to_timestamp(dag_run.ended_at / 1e6) AS ended_at,
    dag_run.version, dag_run.run_key
FROM dag_run;

CREATE VIEW task_instances AS
SELECT
    dag_run.dag_id, dag_run.run_id, task_instance.task_id, task_instance.map_index,
    task_instance.state, task_instance.attempt, task_instance.worker,
    to_timestamp(task_instance.queued_at / 1e6) AS queued_at,
    to_timestamp(task_instance.started_at / 1e6) AS started_at,
    to_timestamp(task_instance.ended_at / 1e6) AS ended_at,
    task_instance.failure, task_instance.run_key
FROM task_instance
JOIN dag_run ON dag_run.run_key = task_instance.run_key;
