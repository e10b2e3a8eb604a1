-- Runs once, when the database's volume is empty, by the image's own init script as a superuser. Supabase Auth brings its tables itself and
-- logs in as this role; the image makes the role without a password. The other logins of the image (data API, storage, pooler) stay closed.
\getenv auth_db_password AUTH_DB_PASSWORD
alter role supabase_auth_admin with login password :'auth_db_password';
