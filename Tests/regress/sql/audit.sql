-- The audit as an auditor reads it. Crashes and concurrency are in Tests/ServerTests/AuditTests.swift.
CREATE ROLE regress_worker;
CREATE TABLE ledger (id int PRIMARY KEY, amount numeric);
GRANT ALL ON ledger TO regress_worker;

SET ROLE regress_worker;
INSERT INTO ledger VALUES (1, 10), (2, 20);
BEGIN;
UPDATE ledger SET amount = 0 WHERE id = 1;
ROLLBACK;
BEGIN;
SAVEPOINT s;
DELETE FROM ledger WHERE id = 1;
ROLLBACK TO s;
SELECT id FROM ledger WHERE id = 2;
COMMIT;
INSERT INTO ledger VALUES (1, 10);
DELETE FROM ledger;
DO $$BEGIN UPDATE ledger SET amount = 30 WHERE id = 2; END$$;
RESET ROLE;
CREATE ROLE regress_holder PASSWORD 'very secret';

SELECT warden.flush() > 0 AS flushed;
SELECT command, statement, class, decision, guard, outcome, sqlstate, rows, parent_no IS NOT NULL AS nested
  FROM warden.audit_log WHERE role_name = 'regress_worker' AND event = 'statement' ORDER BY seq;
SELECT l.command, a.relation, a.action, a.columns
  FROM warden.audit_access a JOIN warden.audit_log l USING (seq)
 WHERE l.role_name = 'regress_worker' ORDER BY seq, a.relation, a.action;

-- without the password
SELECT statement FROM warden.audit_log WHERE command = 'CREATE ROLE' ORDER BY seq DESC LIMIT 1;

-- no number is missing, and the chain holds
SELECT count(*) = max(seq) - min(seq) + 1 AS without_holes FROM warden.audit_log;
SELECT ok, first_bad_seq, problem FROM warden.verify_audit();
SELECT bool_and(healthy) AS healthy FROM warden.status();

-- nobody writes it, few read it
UPDATE warden.audit_record SET statement = 'x' WHERE seq = 1;
SET ROLE regress_worker;
SELECT * FROM warden.audit_log;
RESET ROLE;
GRANT warden_auditor TO regress_worker;
SET ROLE regress_worker;
SELECT count(*) > 0 AS readable FROM warden.audit_log;
RESET ROLE;
