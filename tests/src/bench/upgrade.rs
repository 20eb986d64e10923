//! What it takes to bring ten million instances from the previous schema to this one, and to delete and to add to them.

use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::Table;
use crate::cluster::Cluster;

const RUNS: usize = 10_000;
const WIDTH: usize = 1000;
/// How many of the runs are older than a day.
const OLD: usize = 1000;

pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&cluster.addresses.database_url).await?;
    cluster.apply("wide", "dag: wide\ntasks: {t: {command: [x]}}\n")?;
    fill(&mut connection).await?;
    connection.execute("DROP TABLE schema_support").await?;
    connection.execute("DELETE FROM _sqlx_migrations WHERE version = 4").await?;
    let began = Instant::now();
    cluster.run(&["db", "migrate"])?;
    table.add("upgrade_10m_migrate_s", began.elapsed().as_secs_f64());
    // As the next one may: it adds a column, and an index while others write.
    let began = Instant::now();
    connection.execute("ALTER TABLE task_instance ADD COLUMN colour TEXT").await?;
    table.add("upgrade_10m_column_s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let index = "CREATE INDEX CONCURRENTLY task_instance_task ON task_instance (task_id)";
    connection.execute(index).await?;
    table.add("upgrade_10m_index_s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    cluster.run(&["db", "clean", "--days", "1"])?;
    let deleted = (OLD * WIDTH) as f64;
    table.add("upgrade_10m_clean_instances_per_s", deleted / began.elapsed().as_secs_f64());
    Ok(())
}

/// Ended runs, as a scheduler would have left them, a tenth of them long ago.
async fn fill(connection: &mut PgConnection) -> anyhow::Result<()> {
    let runs = format!(
        "INSERT INTO dag_run (run_key, dag_id, run_id, run_type, version, logical_date, interval_start,
             interval_end, params, state, queued_at, started_at, ended_at, clear_number)
         SELECT md5(n::text)::uuid::text, 'wide', 'r' || n, 'manual', version, at, at, at, '{{}}', 'success', at, at, at, 0
         FROM (SELECT n, CASE WHEN n <= {OLD} THEN 1 ELSE extract(epoch FROM now())::bigint END * 1000000 + n AS at
               FROM generate_series(1, {RUNS}) AS n) AS numbers, dag"
    );
    connection.execute(AssertSqlSafe(runs)).await?;
    let instances = format!(
        "INSERT INTO task_instance (run_key, task_id, map_index, state, attempt, failures, losses, worker,
             queued_at, started_at, ended_at)
         SELECT run_key, 't', n, 'success', 1, 0, 0, 'w', queued_at, started_at, ended_at
         FROM dag_run, generate_series(0, {WIDTH} - 1) AS n"
    );
    connection.execute(AssertSqlSafe(instances)).await?;
    connection.execute("ANALYZE").await?;
    Ok(())
}
