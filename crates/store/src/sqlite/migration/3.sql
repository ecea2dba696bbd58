-- Runs wait for people in their midst, jobs wait for their environments and know their place, and rules of
-- environments are kept where secrets and variables are.

-- Where a job stands among those of its attempt. Those that an earlier version has kept stand by their ids.
ALTER TABLE jobs ADD COLUMN rank TEXT NOT NULL DEFAULT '';
-- While it waits: when time lets it into its environment.
ALTER TABLE jobs ADD COLUMN waits_until INTEGER;
-- The job of an earlier attempt that ran in its place.
ALTER TABLE jobs ADD COLUMN taken_from INTEGER;
-- When its machine had failed it last; `queued_at` is the first time.
ALTER TABLE jobs ADD COLUMN retried_at INTEGER;

-- The state for workflows that follow an attempt, and what `announced` is compared with: while it waits in its midst, it
-- goes on running for them.
ALTER TABLE attempts ADD COLUMN progress TEXT NOT NULL
  AS (CASE WHEN state = 'waiting' AND started_at IS NOT NULL THEN 'running' ELSE state END);
DROP INDEX attempts_unannounced;
-- Only those of which something is still to be told: it stays small.
CREATE INDEX attempts_unannounced ON attempts (run) WHERE announced <> progress;

-- Rules of environments were kept by the number of their repository (`environment/7/production`), and are by its place
-- (`environment/octo/hello/production`). Its first slash ends the number: the name may have further ones.
UPDATE settings SET key = (
  SELECT 'environment/' || lower(place) || substr(substr(key, 13), instr(substr(key, 13), '/'))
  FROM repositories WHERE id = CAST(substr(key, 13) AS INTEGER)
)
WHERE key GLOB 'environment/[0-9]*/*'
  AND EXISTS (SELECT 1 FROM repositories WHERE id = CAST(substr(key, 13) AS INTEGER));
