-- Who there is, and how a request finds its tenant.
-- tenant, api_key and webhook_endpoint have no row-level security: they are what finds the tenant in
-- the first place, and hold no secret (hashes and random names only). Everything else has it.

CREATE TABLE tenant (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  created_at_ms bigint NOT NULL
);

CREATE TABLE api_key (
  id text PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text NOT NULL,
  role text NOT NULL,
  secret_sha256 bytea NOT NULL,
  created_at_ms bigint NOT NULL,
  expires_at_ms bigint,
  revoked_at_ms bigint
);
CREATE INDEX api_key_tenant ON api_key (tenant_id);

CREATE TABLE webhook_endpoint (
  endpoint text PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  integration_id uuid NOT NULL
);
CREATE INDEX webhook_endpoint_tenant ON webhook_endpoint (tenant_id, integration_id);

-- The fence: one row per writer shard. Taking a shard over raises its epoch; every write transaction
-- checks the epoch it believes in and is refused when another process has taken over.
CREATE TABLE writer_lease (
  shard int PRIMARY KEY,
  epoch bigint NOT NULL,
  holder text NOT NULL,
  taken_at_ms bigint NOT NULL
);
INSERT INTO writer_lease SELECT shard, 0, '', 0 FROM generate_series(0, 3) shard;

-- Tenants that the current transaction works for; the policies of every other table ask it.
CREATE FUNCTION app_tenants() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS
  $$ SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[] $$;
