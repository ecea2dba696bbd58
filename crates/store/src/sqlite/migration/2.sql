-- What jobs have handed over. The bytes are files; `file` is where, from the data folder on.

CREATE TABLE artifacts (
  -- In the order in which they were handed over.
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  job INTEGER NOT NULL,
  -- In its run.
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  file_name TEXT NOT NULL,
  file TEXT NOT NULL,
  size INTEGER NOT NULL,
  digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  UNIQUE (run, number),
  UNIQUE (run, name)
) STRICT;

CREATE TABLE caches (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- By its full name, which forges compare without case.
  repository TEXT NOT NULL COLLATE NOCASE,
  reference TEXT NOT NULL,
  key TEXT NOT NULL,
  version TEXT NOT NULL,
  file TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  -- Not known of those that an earlier version has kept.
  digest TEXT,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  UNIQUE (repository, reference, key, version)
) STRICT;
