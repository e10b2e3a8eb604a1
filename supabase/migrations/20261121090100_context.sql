-- What a model wrote about the older part of a thread, so that prompts stay within its window. The messages themselves are never rewritten.

create table cortex.context_summaries (
  id uuid primary key,
  account_id uuid not null,
  thread_id uuid not null references cortex.threads (id) on delete cascade,
  -- The run, attempt and step that made it. It counts for the whole thread, also when that run is deleted.
  run_id uuid not null,
  attempt int not null,
  step int not null,
  -- It stands for the messages up to this seq, except the kept ones, which are still sent word for word.
  through_seq int not null check (through_seq >= 0),
  kept_seqs int[] not null default '{}',
  text text not null check (text <> ''),
  -- A stranger may have written parts of what it was made from.
  tainted boolean not null,
  tokens_before int not null check (tokens_before >= 0),
  tokens_after int not null check (tokens_after >= 0),
  model text not null,
  usage jsonb not null,
  cost_usd numeric(20, 10) not null,
  created_at timestamptz not null default clock_timestamp()
);
-- The newest one of a thread is the one that counts.
create index context_summaries_by_thread on cortex.context_summaries (thread_id, through_seq desc, created_at desc);
create index context_summaries_by_run on cortex.context_summaries (run_id, step);

-- expand_message: the result of a call, by the call's id.
create index messages_by_tool_call on cortex.messages (thread_id, tool_call_id) where tool_call_id is not null;

alter table cortex.context_summaries enable row level security;
grant select on cortex.context_summaries to cortex_api;
grant select, insert on cortex.context_summaries to cortex_worker;
create policy api_reads on cortex.context_summaries for select to cortex_api using (account_id in (select cortex.readable_accounts()));
create policy worker_reads on cortex.context_summaries for select to cortex_worker using (account_id = cortex.current_account_id());
create policy worker_inserts on cortex.context_summaries for insert to cortex_worker with check (account_id = cortex.current_account_id());
