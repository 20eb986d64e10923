-- Who may do what, and who did what.

CREATE TABLE app_user (
    name TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT,
    -- The issuer and the subject of an OpenID provider.
    subject TEXT UNIQUE,
    -- A JSON object: the role in each team.
    roles TEXT NOT NULL,
    disabled BIGINT NOT NULL CHECK (disabled IN (0, 1)),
    created_at BIGINT NOT NULL
);

CREATE TABLE credential (
    credential_id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('session', 'token')),
    user_name TEXT NOT NULL REFERENCES app_user (name) ON DELETE CASCADE,
    -- SHA-256 of the secret.
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role_max TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX credential_user ON credential (user_name);

-- It only grows. The id is ordered by time.
CREATE TABLE audit (
    audit_id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    team TEXT,
    -- The Dag that it concerns, directly or through a run or a backfill.
    dag_id TEXT,
    subject TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL
);

CREATE INDEX audit_dag ON audit (dag_id, audit_id) WHERE dag_id IS NOT NULL;
