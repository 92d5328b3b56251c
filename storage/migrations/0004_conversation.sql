-- A conversation's place in the inbox's order is written behind.
--
-- Every message changes its conversation's seq. As long as seq is indexed, each such update writes
-- into all three indexes; without, it stays on its page (a heap-only tuple). listed_seq is the place
-- in the order, brought up to date now and then for many messages at once. Up to the tenant's
-- conversation_order.listed_seq each conversation stands where it belongs; those that moved since
-- are found by the journal's entries behind that number.

ALTER TABLE conversation ADD COLUMN listed_seq bigint NOT NULL DEFAULT 0;
-- A rewrite, because an UPDATE would see no row through the policies.
ALTER TABLE conversation ALTER COLUMN listed_seq TYPE bigint USING seq;
DROP INDEX conversation_seq;
CREATE INDEX conversation_listed ON conversation (tenant_id, listed_seq);
-- Room for the next versions of a row on its own page.
ALTER TABLE conversation SET (fillfactor = 60);

CREATE TABLE conversation_order (
  tenant_id uuid PRIMARY KEY,
  listed_seq bigint NOT NULL
);
ALTER TABLE journal NO FORCE ROW LEVEL SECURITY;
INSERT INTO conversation_order
  SELECT id, (SELECT max(seq) FROM journal j WHERE j.tenant_id = t.id) FROM tenant t
  WHERE EXISTS (SELECT 1 FROM journal j WHERE j.tenant_id = t.id);
ALTER TABLE journal FORCE ROW LEVEL SECURITY;
ALTER TABLE conversation_order ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_order FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON conversation_order
  USING (tenant_id = ANY ((SELECT app_tenants())::uuid[]))
  WITH CHECK (tenant_id = ANY ((SELECT app_tenants())::uuid[]));
