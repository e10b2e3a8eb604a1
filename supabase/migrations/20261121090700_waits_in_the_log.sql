-- That a run waits is committed first and said in its live log second. Whoever dies in between leaves a log without it, and nobody holds the
-- run any more who would find that: a sweep does.
alter table cortex.agent_runs add column wait_unlogged_since timestamptz;
comment on column cortex.agent_runs.wait_unlogged_since is
  'Of a waiting run: since when it waits, as long as nobody has noted that its live log says so. Of any other run it means nothing.';
create index agent_runs_unlogged_wait on cortex.agent_runs (wait_unlogged_since)
  where status = 'waiting' and wait_unlogged_since is not null;
