-- What versions may open and read, and what egress did for them.

-- Canonical JSON (policy/policy.h); empty: the empty policy.
ALTER TABLE versions ADD COLUMN policy TEXT NOT NULL DEFAULT '';
-- The bundle of its assets; NULL: none.
ALTER TABLE versions ADD COLUMN assets BLOB;
-- Does it say its times in Server-Timing?
ALTER TABLE versions ADD COLUMN timing INTEGER NOT NULL DEFAULT 0;

-- Bundles of assets that a project has: files images/ENGINE/PROJECT/assets/DIGEST.
CREATE TABLE assets (
    project_id BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    files INTEGER NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    PRIMARY KEY (project_id, digest)
) STRICT;

-- What a run opened or was refused: the ledger's rows, as JSON.
ALTER TABLE runs ADD COLUMN uses TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runs ADD COLUMN sums TEXT NOT NULL DEFAULT '{}';

-- Bytes of what was opened beyond the machine.
ALTER TABLE usage ADD COLUMN egress_in INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN egress_out INTEGER NOT NULL DEFAULT 0;

-- Egress's journal: every connection of a guest, kept for 30 days so that an operator can answer a
-- report of abuse.
CREATE TABLE connections (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    address BLOB NOT NULL, -- 16 bytes, IPv4 mapped
    port INTEGER NOT NULL,
    scheme TEXT NOT NULL,
    host TEXT NOT NULL,
    project_id BLOB NOT NULL,
    function_id BLOB NOT NULL,
    run_id BLOB NOT NULL,
    outcome TEXT NOT NULL, -- a slug of errors.def; '': it was made
    sent INTEGER NOT NULL,
    received INTEGER NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))
) STRICT;
CREATE INDEX connections_by_address ON connections (address, at);
CREATE INDEX connections_by_time ON connections (at);

CREATE TRIGGER assets_touch AFTER UPDATE ON assets BEGIN
    UPDATE assets SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER connections_touch AFTER UPDATE ON connections BEGIN
    UPDATE connections SET created_at = OLD.created_at,
        updated_at = CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)
        WHERE rowid = NEW.rowid;
END;
