-- What governs the shop. The built-in guards are there already: destructive-ddl, whole-table-dml, server-escape.

-- Who is neither the owner of shop.customers nor a superuser sees masks, by whatever road the table is reached.
SELECT warden.mask('shop.customers.full_name', 'partial', '{"prefix": 1, "suffix": 0, "fill": "***"}');
SELECT warden.mask('shop.customers.email', 'email');
SELECT warden.mask('shop.customers.phone', 'partial', '{"prefix": 0, "suffix": 2, "fill": "***"}');
SELECT warden.mask('shop.customers.card_number', 'partial', '{"prefix": 0, "suffix": 4, "fill": "***"}');
SELECT warden.mask('shop.customers.note', 'redact');

-- The agent works on rows. Tables are for people, even those that the agent owns.
SELECT warden.guard('no-agent-ddl', 'block', ARRAY['ddl'],
                    subjects => ARRAY['role:agent_copilot'],
                    message => 'AI agents do not change the schema; propose a migration instead');

-- Reads the audit, sees nothing of the shop.
CREATE ROLE auditor LOGIN IN ROLE warden_auditor;
