-- Provider accounts. Credentials are sealed with the tenant's data key, which is sealed with the
-- master key (reliability.md, section 8).

CREATE TABLE data_key (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  id int NOT NULL,
  master_key_id text NOT NULL,
  sealed bytea NOT NULL,
  created_at_ms bigint NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE integration (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  id uuid NOT NULL,
  provider smallint NOT NULL,
  name text NOT NULL,
  endpoint text NOT NULL,
  data_key_id int NOT NULL,
  credentials bytea NOT NULL,
  settings text NOT NULL,
  base_url text NOT NULL DEFAULT '',
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE idempotency (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  key text COLLATE "C" NOT NULL,
  request_hash bytea NOT NULL,
  status int NOT NULL,
  body text NOT NULL,
  created_at_ms bigint NOT NULL,
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_age ON idempotency (tenant_id, created_at_ms);
