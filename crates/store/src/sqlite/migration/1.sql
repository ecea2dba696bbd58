-- Moments are milliseconds since 1970. Words of states are those of model::state. JSON is text.

CREATE TABLE repositories (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  forge TEXT NOT NULL,
  full_name TEXT NOT NULL COLLATE NOCASE,
  -- The name that it had first: what is kept for it stays there when it is renamed.
  place TEXT NOT NULL COLLATE NOCASE,
  forge_id INTEGER,
  default_branch TEXT NOT NULL,
  is_private INTEGER NOT NULL,
  clone_url TEXT NOT NULL,
  installation INTEGER,
  first_seen INTEGER NOT NULL,
  UNIQUE (forge, full_name),
  UNIQUE (forge, place),
  UNIQUE (forge, forge_id)
) STRICT;

CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  guid TEXT NOT NULL UNIQUE,
  event TEXT NOT NULL,
  action TEXT,
  repository TEXT,
  received_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  tries INTEGER NOT NULL,
  next_try INTEGER NOT NULL,
  done_at INTEGER
) STRICT;

-- Only those that something is still to be done with: it stays small.
CREATE INDEX deliveries_due ON deliveries (next_try) WHERE state = 'received';

CREATE INDEX deliveries_done ON deliveries (done_at);

-- Apart, so that lists do not read bodies, and bodies go before their deliveries do.
CREATE TABLE payloads (
  delivery INTEGER PRIMARY KEY REFERENCES deliveries ON DELETE CASCADE,
  body BLOB NOT NULL
) STRICT;

-- The number of a workflow file's last run: it outlives the runs.
CREATE TABLE workflows (
  repository INTEGER NOT NULL REFERENCES repositories,
  path TEXT NOT NULL,
  last_number INTEGER NOT NULL,
  PRIMARY KEY (repository, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  repository INTEGER NOT NULL REFERENCES repositories,
  workflow_path TEXT NOT NULL,
  number INTEGER NOT NULL,
  -- What caused it. A delivery may be forgotten before its runs are.
  delivery INTEGER REFERENCES deliveries ON DELETE SET NULL,
  workflow_name TEXT NOT NULL,
  title TEXT NOT NULL,
  event TEXT NOT NULL,
  reference TEXT NOT NULL,
  sha TEXT NOT NULL,
  head_sha TEXT NOT NULL,
  head_branch TEXT NOT NULL,
  pull_request INTEGER,
  actor TEXT NOT NULL,
  trust TEXT NOT NULL,
  priority INTEGER NOT NULL,
  concurrency_group TEXT,
  cancels_group INTEGER NOT NULL,
  queues_all INTEGER NOT NULL,
  facts TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- The latest.
  attempt INTEGER NOT NULL,
  UNIQUE (repository, workflow_path, number)
) STRICT;

CREATE INDEX runs_of_repository ON runs (repository);
CREATE INDEX runs_of_delivery ON runs (delivery);
CREATE INDEX runs_of_sha ON runs (sha);
CREATE INDEX runs_of_head ON runs (head_sha);

CREATE TABLE attempts (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  actor TEXT NOT NULL,
  again TEXT,
  state TEXT NOT NULL,
  reason TEXT,
  conclusion TEXT,
  queued_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  plan TEXT,
  -- The state that workflows which follow this one were last told of.
  announced TEXT NOT NULL DEFAULT 'waiting',
  PRIMARY KEY (run, attempt)
) STRICT;

CREATE INDEX attempts_unfinished ON attempts (run) WHERE state <> 'ended';
CREATE INDEX attempts_ended ON attempts (ended_at);
-- Only those of which something is still to be told: it stays small.
CREATE INDEX attempts_unannounced ON attempts (run) WHERE announced <> state;

-- What the plan of an attempt was told, in order.
CREATE TABLE plan_inputs (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  input TEXT NOT NULL,
  FOREIGN KEY (run, attempt) REFERENCES attempts ON DELETE CASCADE
) STRICT;

CREATE INDEX plan_inputs_of_attempt ON plan_inputs (run, attempt);

CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  key TEXT NOT NULL,
  path TEXT NOT NULL,
  name TEXT NOT NULL,
  labels TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  conclusion TEXT,
  infrastructure_error TEXT,
  tries INTEGER NOT NULL,
  interruptions INTEGER NOT NULL,
  machine TEXT,
  queued_at INTEGER NOT NULL,
  leased_at INTEGER,
  started_at INTEGER,
  first_line_at INTEGER,
  ended_at INTEGER,
  outputs TEXT NOT NULL,
  environment TEXT,
  environment_url TEXT,
  FOREIGN KEY (run, attempt) REFERENCES attempts ON DELETE CASCADE
) STRICT;

CREATE INDEX jobs_of_attempt ON jobs (run, attempt);

CREATE TABLE steps (
  id INTEGER PRIMARY KEY,
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  position INTEGER NOT NULL,
  phase TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  outcome TEXT,
  conclusion TEXT,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  first_line INTEGER NOT NULL,
  summary TEXT,
  UNIQUE (job, position, phase)
) STRICT;

CREATE TABLE annotations (
  id INTEGER PRIMARY KEY,
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  annotation TEXT NOT NULL
) STRICT;

CREATE INDEX annotations_of_job ON annotations (job);

CREATE TABLE reports (
  run INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
  sent TEXT NOT NULL
) STRICT;

-- Kind is 'organisation', 'repository', or 'environment'; forges compare all of these names without case.
CREATE TABLE secrets (
  kind TEXT NOT NULL,
  place TEXT NOT NULL COLLATE NOCASE,
  environment TEXT NOT NULL COLLATE NOCASE,
  name TEXT NOT NULL COLLATE NOCASE,
  sealed BLOB NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (kind, place, environment, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE variables (
  kind TEXT NOT NULL,
  place TEXT NOT NULL COLLATE NOCASE,
  environment TEXT NOT NULL COLLATE NOCASE,
  name TEXT NOT NULL COLLATE NOCASE,
  value TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (kind, place, environment, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  name TEXT PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  role TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row, rewritten by whoever wants to know whether writing works.
CREATE TABLE pulse (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  beat INTEGER NOT NULL
) STRICT;
INSERT INTO pulse VALUES (1, 0);
