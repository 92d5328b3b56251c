-- The third wall, once more: `tenant_id = ANY (list)` became an index condition, so that in a group
-- of many tenants each probe of an index searched for all of them. Now it is a filter: the first
-- tenant of the list is compared, the others are looked up in a hash table. Both sub-selects are
-- evaluated once a statement, the second only where the first is not enough.
DO $$
DECLARE t text;
BEGIN
  FOR t IN SELECT tablename FROM pg_policies
           WHERE schemaname = current_schema() AND policyname = 'tenant_only' LOOP
    EXECUTE format('DROP POLICY tenant_only ON %I', t);
    EXECUTE format('CREATE POLICY tenant_only ON %I USING (tenant_id = (SELECT (app_tenants())[1])'
                   ' OR tenant_id IN (SELECT unnest(app_tenants())))', t);
  END LOOP;
END $$;
