-- One movement of credits and the balance after it, in one round trip: the balance moves in a trigger after the insert, which the insert
-- itself cannot see. A key that was used before moves nothing. With the rights of the caller.
create function cortex.move_credits(
  for_account uuid, for_run uuid, entry_kind text, amount numeric, entry_key text, entry_description text
)
  returns table (moved boolean, balance_usd numeric)
  language plpgsql volatile set search_path = ''
  as $$
  begin
    insert into cortex.ledger_entries (account_id, run_id, kind, amount_usd, idempotency_key, description)
      values (for_account, for_run, entry_kind, amount, entry_key, entry_description)
      on conflict (idempotency_key) do nothing;
    moved := found;
    balance_usd := coalesce(
      (select balances.balance_usd from cortex.account_balances balances where balances.account_id = for_account), 0);
    return next;
  end $$;
revoke execute on function cortex.move_credits(uuid, uuid, text, numeric, text, text) from public;
grant execute on function cortex.move_credits(uuid, uuid, text, numeric, text, text) to cortex_api, cortex_worker;
