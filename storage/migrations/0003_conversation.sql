-- Contacts, their conversations, the journal of everything that happened, and the outbox.

CREATE TABLE contact (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  id uuid NOT NULL,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  external_id text,
  name text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX contact_external_id ON contact (tenant_id, external_id)
  WHERE external_id IS NOT NULL;

CREATE TABLE identity (
  tenant_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  channel smallint NOT NULL,
  verified boolean NOT NULL DEFAULT false,
  address text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, channel, address)
);
CREATE INDEX identity_contact ON identity (tenant_id, contact_id);

CREATE TABLE conversation (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  contact_id uuid NOT NULL,
  seq bigint NOT NULL,
  unread bigint NOT NULL,
  inbound_count bigint NOT NULL,
  outbound_count bigint NOT NULL,
  read_seq bigint NOT NULL,
  opened_at_ms bigint NOT NULL,
  resolved_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  last_seq bigint NOT NULL,
  last_at_ms bigint NOT NULL,
  sla_due_at_ms bigint NOT NULL,
  sentiment double precision,
  last_direction smallint NOT NULL,
  last_channel smallint NOT NULL,
  status smallint NOT NULL,
  channel smallint NOT NULL,
  urgency_rank smallint NOT NULL,
  flagged boolean NOT NULL,
  sla_breached boolean NOT NULL,
  assigned_to text,
  intent text,
  urgency text,
  state text NOT NULL,
  labels text[],
  reach text NOT NULL,
  last_preview text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX conversation_contact ON conversation (tenant_id, contact_id, opened_at_ms DESC);
CREATE INDEX conversation_seq ON conversation (tenant_id, seq);

-- One row per event, numbered per tenant without gaps in commit order. An inbound message is one row
-- here and nothing else: it carries its redelivery key and the provider's bytes. A message's id
-- encodes its seq (base/id.hpp), so three indexes are all there are.
CREATE TABLE journal (
  tenant_id uuid NOT NULL,
  seq bigint NOT NULL,
  at_ms bigint NOT NULL,
  conversation_id uuid,
  integration_id uuid,
  subject_seq bigint,
  unread int,
  kind smallint NOT NULL,
  direction smallint NOT NULL,
  channel smallint NOT NULL,
  provider smallint NOT NULL,
  status smallint NOT NULL,
  dedupe_key text COLLATE "C",
  subject text,
  body text,
  attachments text,
  error text,
  marks text,
  was text,
  raw bytea,
  PRIMARY KEY (tenant_id, seq)
);
CREATE UNIQUE INDEX journal_dedupe ON journal (tenant_id, dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX journal_thread ON journal (tenant_id, conversation_id, seq) WHERE kind = 1;

-- The dead-letter list: which journal rows hold signed events that could not be used.
CREATE TABLE webhook_failure (
  tenant_id uuid NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);

-- The outbox: an outbound message's way to its provider and what became of it. Written in the same
-- transaction as the message.
CREATE TABLE delivery (
  tenant_id uuid NOT NULL,
  message_seq bigint NOT NULL,
  conversation_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  integration_id uuid NOT NULL,
  created_at_ms bigint NOT NULL,
  sent_at_ms bigint NOT NULL,
  next_at_ms bigint NOT NULL,
  not_after_ms bigint NOT NULL,
  attempt int NOT NULL,
  channel smallint NOT NULL,
  provider smallint NOT NULL,
  status smallint NOT NULL,
  address text NOT NULL,
  provider_message_id text COLLATE "C",
  error_code text,
  error_detail text,
  provider_code text,
  PRIMARY KEY (tenant_id, message_seq)
);
CREATE UNIQUE INDEX delivery_provider_message ON delivery (tenant_id, provider, provider_message_id)
  WHERE provider_message_id IS NOT NULL;
-- Unsettled: queued, sending, sent, delivered, unknown.
CREATE INDEX delivery_outstanding ON delivery (tenant_id, contact_id)
  WHERE status IN (1, 2, 3, 4, 11);
CREATE INDEX delivery_due ON delivery (tenant_id, next_at_ms) WHERE status IN (1, 2);

-- The third wall (the first two: the tenant of the credential, the tenant in every statement).
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['data_key', 'integration', 'idempotency', 'contact', 'identity',
                           'conversation', 'journal', 'webhook_failure', 'delivery'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    -- The sub-select is evaluated once a statement, not once a row.
    EXECUTE format('CREATE POLICY tenant_only ON %I USING (tenant_id = ANY ((SELECT app_tenants())::uuid[]))'
                   ' WITH CHECK (tenant_id = ANY ((SELECT app_tenants())::uuid[]))', t);
  END LOOP;
END $$;
