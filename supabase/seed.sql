-- Local development only (the Supabase CLI and the local stack run it after the migrations): nobody is billed.
update cortex.settings set default_plan_id = 'local';
