-- The first schema.
--
-- Ids are UUIDv7 as 16 bytes, times Unix milliseconds (UTC). Every table has created_at and
-- updated_at; the triggers at the end keep them: an update can change neither by hand.

-- Accounts. The first start makes one operator.
CREATE TABLE users (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('operator', 'user')),
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;

-- The tenant: unit of isolation and of accounting.
CREATE TABLE projects (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner_id BLOB NOT NULL REFERENCES users (id),
    log_bytes INTEGER NOT NULL DEFAULT 0, -- of its stored log lines
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;

-- Who belongs to a project.
CREATE TABLE members (
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (project_id, user_id)
) STRICT;
CREATE INDEX members_by_user ON members (user_id);

-- Bearer tokens: the row decides, the JWT only names it. scopes is a set of bits (auth/token.h).
CREATE TABLE tokens (
    id BLOB PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id BLOB REFERENCES projects (id) ON DELETE CASCADE, -- NULL: all of the user's
    name TEXT NOT NULL,
    scopes INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
CREATE INDEX tokens_by_user ON tokens (user_id, id);

-- A name that answers. Names are unique on a server; a deleted one stays taken for a while.
CREATE TABLE functions (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL UNIQUE,
    live_id BLOB, -- the version that answers; NULL: none yet
    last_number INTEGER NOT NULL DEFAULT 0, -- of its newest version, kept ones or not
    generation INTEGER NOT NULL, -- of the route table that shows its last change
    deleted_at INTEGER,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
CREATE INDEX functions_by_project ON functions (project_id, name);
CREATE INDEX functions_by_generation ON functions (generation);
CREATE INDEX functions_by_death ON functions (deleted_at) WHERE deleted_at IS NOT NULL;

-- Which modules a project has uploaded; the bytes are blobs by digest, shared by all.
CREATE TABLE modules (
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (project_id, digest)
) STRICT;
CREATE INDEX modules_by_digest ON modules (digest);

-- Compiled modules: what control made and the hash that the file must have.
CREATE TABLE images (
    engine TEXT NOT NULL,
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    kind INTEGER NOT NULL, -- enum engine_kind
    size INTEGER NOT NULL,
    hash BLOB NOT NULL, -- SHA-256 of the file
    memory_min INTEGER NOT NULL, -- bytes of memory an instance begins with
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (engine, project_id, digest, kind)
) STRICT;

-- Immutable: a module and its settings. env is sealed with the secrets key.
CREATE TABLE versions (
    id BLOB PRIMARY KEY,
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, -- from 1 per function
    digest BLOB NOT NULL,
    size INTEGER NOT NULL, -- of the module
    response INTEGER NOT NULL, -- enum response_kind
    env BLOB NOT NULL,
    limits TEXT NOT NULL, -- JSON object: name to value as given
    check_request TEXT NOT NULL, -- 'GET /', or 'none'
    check_result TEXT, -- JSON object; NULL: not checked
    promoted_at INTEGER, -- NULL: never
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    UNIQUE (function_id, number)
) STRICT;
CREATE INDEX versions_by_digest ON versions (digest);

-- Receipts: one invocation each, with its ledger.
CREATE TABLE runs (
    id BLOB PRIMARY KEY,
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
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
CREATE INDEX runs_by_function ON runs (function_id, id);
CREATE INDEX runs_by_project ON runs (project_id, id);

-- Log lines, in the order in which they were taken from the spools.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    run_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL, -- 1 error, 3 warning, 6 info
    source INTEGER NOT NULL,
    text TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
CREATE INDEX logs_by_function ON logs (function_id, id);
CREATE INDEX logs_by_project ON logs (project_id, id);
CREATE INDEX logs_by_run ON logs (run_id);

-- Exact sums per function.
CREATE TABLE usage (
    function_id BLOB PRIMARY KEY REFERENCES functions (id) ON DELETE CASCADE,
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
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;

-- How far each edge's ring has been taken.
CREATE TABLE spools (
    id BLOB PRIMARY KEY,
    taken INTEGER NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;

-- What of each ring's counters is already in usage: as many 8-byte integers as there are counters.
CREATE TABLE spool_sums (
    spool_id BLOB NOT NULL REFERENCES spools (id) ON DELETE CASCADE,
    function_id BLOB NOT NULL,
    counted BLOB NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (spool_id, function_id)
) STRICT;

-- Every change, written with it in one transaction.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id BLOB, -- NULL: the server itself
    token_id BLOB,
    project_id BLOB,
    action TEXT NOT NULL, -- 'function.create', 'version.promote', …
    object TEXT NOT NULL, -- a name or an id
    detail TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
CREATE INDEX audit_by_project ON audit (project_id, id);

-- What the server remembers about itself.
CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;

-- created_at never changes, updated_at is the time of the last change.
CREATE TRIGGER users_touch AFTER UPDATE ON users BEGIN
    UPDATE users SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER projects_touch AFTER UPDATE ON projects BEGIN
    UPDATE projects SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER members_touch AFTER UPDATE ON members BEGIN
    UPDATE members SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER tokens_touch AFTER UPDATE ON tokens BEGIN
    UPDATE tokens SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER functions_touch AFTER UPDATE ON functions BEGIN
    UPDATE functions SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER modules_touch AFTER UPDATE ON modules BEGIN
    UPDATE modules SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER images_touch AFTER UPDATE ON images BEGIN
    UPDATE images SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER versions_touch AFTER UPDATE ON versions BEGIN
    UPDATE versions SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER runs_touch AFTER UPDATE ON runs BEGIN
    UPDATE runs SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER logs_touch AFTER UPDATE ON logs BEGIN
    UPDATE logs SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER usage_touch AFTER UPDATE ON usage BEGIN
    UPDATE usage SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER spools_touch AFTER UPDATE ON spools BEGIN
    UPDATE spools SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER spool_sums_touch AFTER UPDATE ON spool_sums BEGIN
    UPDATE spool_sums SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER audit_touch AFTER UPDATE ON audit BEGIN
    UPDATE audit SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER settings_touch AFTER UPDATE ON settings BEGIN
    UPDATE settings SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
