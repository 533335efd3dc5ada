-- A function's life: how versions are prepared, shared out and explained; secrets; captures; usage
-- by day; what makes repeated requests harmless.

-- JSON array: the names of the project's secrets that are variables of its environment.
ALTER TABLE versions ADD COLUMN secrets TEXT NOT NULL DEFAULT '[]';
CREATE INDEX versions_with_secrets ON versions (function_id) WHERE secrets != '[]';
-- Who may see it at VERSION--NAME before it is promoted: 0 members, 1 everybody.
ALTER TABLE versions ADD COLUMN preview INTEGER NOT NULL DEFAULT 0;
-- Of which runs the inputs are captured (enum capture_kind): 0 none, 1 failures, 2 all.
ALTER TABLE versions ADD COLUMN capture INTEGER NOT NULL DEFAULT 0;
-- NULL: it may be promoted, previewed and get traffic.
ALTER TABLE versions ADD COLUMN disabled_at INTEGER;
-- SHA-256 over the module's digest and all settings; the same content deploys once. NULL: a version
-- from before this column.
ALTER TABLE versions ADD COLUMN content BLOB;
-- JSON object: what its check cost; NULL: not measured.
ALTER TABLE versions ADD COLUMN price TEXT;

-- A split: the versions that share a function's traffic. No rows: all of it goes to functions.live_id,
-- which is one of them otherwise.
CREATE TABLE traffic (
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    version_id BLOB NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    percent INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 100),
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (function_id, version_id)
) STRICT;
CREATE INDEX traffic_by_version ON traffic (version_id);

-- Versions whose preview address answers now: a row of the route table until `until` (Unix ms).
CREATE TABLE previews (
    version_id BLOB PRIMARY KEY REFERENCES versions (id) ON DELETE CASCADE,
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    until INTEGER NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
CREATE INDEX previews_by_function ON previews (function_id);
CREATE INDEX previews_by_end ON previews (until);

-- Secrets of a project: sealed with the secrets key; project and name are bound in.
CREATE TABLE secrets (
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    revision BLOB NOT NULL, -- UUIDv7 of its last change
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (project_id, name)
) STRICT;

-- What a module imports and exports, as JSON; NULL: stored before this column.
ALTER TABLE modules ADD COLUMN interface TEXT;

-- Captured runs: everything that a run of a version with `capture` got from outside, sealed with the
-- secrets key.
CREATE TABLE captures (
    run_id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    size INTEGER NOT NULL, -- bytes when opened
    whole INTEGER NOT NULL, -- 0: it was cut at the cap and can't be replayed to its end
    bytes BLOB NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
-- All that a trim looks at: a row itself lies among the tapes.
CREATE INDEX captures_by_project ON captures (project_id, run_id, size, created_at);

-- Sums of a function and UTC day: what usage counts, for bills and charts. They outlive their
-- function.
ALTER TABLE usage ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;
CREATE TABLE usage_days (
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    function_id BLOB NOT NULL,
    day INTEGER NOT NULL, -- since 1970-01-01
    function_name TEXT NOT NULL, -- then
    runs INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    status_1xx INTEGER NOT NULL DEFAULT 0,
    status_2xx INTEGER NOT NULL DEFAULT 0,
    status_3xx INTEGER NOT NULL DEFAULT 0,
    status_4xx INTEGER NOT NULL DEFAULT 0,
    status_5xx INTEGER NOT NULL DEFAULT 0,
    cpu_us INTEGER NOT NULL DEFAULT 0,
    wall_us INTEGER NOT NULL DEFAULT 0,
    memory_us INTEGER NOT NULL DEFAULT 0,
    bytes_in INTEGER NOT NULL DEFAULT 0,
    bytes_out INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0,
    log_lines INTEGER NOT NULL DEFAULT 0,
    log_lost INTEGER NOT NULL DEFAULT 0,
    receipts_lost INTEGER NOT NULL DEFAULT 0,
    egress_in INTEGER NOT NULL DEFAULT 0,
    egress_out INTEGER NOT NULL DEFAULT 0,
    log_bytes INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (project_id, function_id, day)
) STRICT;

-- Writes with an Idempotency-Key: their answer is given again to the same request.
CREATE TABLE idempotency (
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    request BLOB NOT NULL, -- SHA-256 of method, path, query and body
    status INTEGER NOT NULL,
    head TEXT NOT NULL, -- further header lines
    body BLOB NOT NULL, -- sealed: answers may hold a token
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (user_id, key)
) STRICT;
CREATE INDEX idempotency_by_time ON idempotency (created_at);

-- Lines that say how many others were lost just before them.
ALTER TABLE logs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;

-- Receipts get a serial, which is never used again: the order in which they were stored, by which a
-- follower goes on exactly where it was. (A receipt's id is the time at which its run began.)
ALTER TABLE runs RENAME TO runs_before;
DROP INDEX runs_by_function;
DROP INDEX runs_by_project;
CREATE TABLE runs (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    version_id BLOB NOT NULL,
    started_at INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    client TEXT NOT NULL,
    status INTEGER NOT NULL, -- HTTP status sent; 0: none
    cause TEXT NOT NULL, -- a slug of tables/errors.def; 'ok'
    injected INTEGER NOT NULL,
    sampled INTEGER NOT NULL, -- others like it were not kept
    exit_status INTEGER NOT NULL,
    cpu_us INTEGER NOT NULL,
    wall_us INTEGER NOT NULL,
    memory_peak INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    host_calls TEXT NOT NULL, -- JSON object: name to count
    log_lines INTEGER NOT NULL,
    log_lost INTEGER NOT NULL,
    text TEXT NOT NULL,
    uses TEXT NOT NULL DEFAULT '[]', -- what it opened or was refused: the ledger's rows, as JSON
    sums TEXT NOT NULL DEFAULT '{}', -- JSON object: what the ledger says beyond the columns
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
INSERT INTO runs (id, project_id, function_id, version_id, started_at, method, path, client, status,
    cause, injected, sampled, exit_status, cpu_us, wall_us, memory_peak, bytes_in, bytes_out,
    request_bytes, response_bytes, calls, host_calls, log_lines, log_lost, text, uses, sums,
    created_at, updated_at)
    SELECT id, project_id, function_id, version_id, started_at, method, path, client, status,
    cause, injected, sampled, exit_status, cpu_us, wall_us, memory_peak, bytes_in, bytes_out,
    request_bytes, response_bytes, calls, host_calls, log_lines, log_lost, text, uses, sums,
    created_at, updated_at FROM runs_before ORDER BY rowid;
DROP TABLE runs_before;
CREATE INDEX runs_by_function ON runs (function_id, id);
CREATE INDEX runs_by_project ON runs (project_id, id);
CREATE TRIGGER runs_touch AFTER UPDATE ON runs BEGIN
    UPDATE runs SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;

-- A project is changed by its owner, not by what its functions log.
DROP TRIGGER projects_touch;
CREATE TRIGGER projects_touch AFTER UPDATE OF name, owner_id, created_at, updated_at ON projects BEGIN
    UPDATE projects SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;

-- Which functions a project has, and how many, is read from the index alone.
DROP INDEX functions_by_project;
CREATE INDEX functions_by_project ON functions (project_id, name, deleted_at);

CREATE TRIGGER traffic_touch AFTER UPDATE ON traffic BEGIN
    UPDATE traffic SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER previews_touch AFTER UPDATE ON previews BEGIN
    UPDATE previews SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER secrets_touch AFTER UPDATE ON secrets BEGIN
    UPDATE secrets SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER captures_touch AFTER UPDATE ON captures BEGIN
    UPDATE captures SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER usage_days_touch AFTER UPDATE ON usage_days BEGIN
    UPDATE usage_days SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER idempotency_touch AFTER UPDATE ON idempotency BEGIN
    UPDATE idempotency SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
