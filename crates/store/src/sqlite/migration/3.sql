-- Where a job stands among those of its attempt. Those that an earlier version has kept stand by their ids.

ALTER TABLE jobs ADD COLUMN rank TEXT NOT NULL DEFAULT '';
