-- Guards as a user meets them: message, DETAIL and HINT.
CREATE ROLE regress_owner;
CREATE ROLE regress_agent;
CREATE SCHEMA shop AUTHORIZATION regress_owner;
SET ROLE regress_owner;
CREATE TABLE shop.orders (id int PRIMARY KEY, total numeric);
INSERT INTO shop.orders SELECT i, i * 10 FROM generate_series(1, 4) i;
GRANT USAGE ON SCHEMA shop TO regress_agent;
GRANT ALL ON shop.orders TO regress_agent;


-- the built-in guards
DELETE FROM shop.orders;
\echo :SQLSTATE
UPDATE shop.orders SET total = 0 WHERE true;
DROP TABLE shop.orders;
\echo :SQLSTATE
TRUNCATE shop.orders;
ALTER TABLE shop.orders DROP COLUMN total;
RESET ROLE;
COPY shop.orders TO PROGRAM 'cat';
ALTER SYSTEM SET work_mem = '5MB';
DROP SCHEMA shop CASCADE;
SELECT count(*) FROM shop.orders;

-- what has a condition passes
DELETE FROM shop.orders WHERE id = 4;
EXPLAIN (COSTS OFF) DELETE FROM shop.orders;

-- one's own guards
SELECT warden.guard('agents-read', 'block', '{write}', '{shop.*}', '{role:regress_agent}',
                    message => 'Agents propose changes as a migration');
SET ROLE regress_agent;
UPDATE shop.orders SET total = 0 WHERE id = 1;
SELECT count(*) FROM shop.orders;
RESET ROLE;
SELECT name, action, statements, objects, subjects, message FROM warden.guards WHERE NOT builtin;
SELECT warden.unguard('agents-read');
SELECT warden.unguard('agents-read');

-- arguments are checked
SELECT warden.guard('g', 'forbid', '{delete}');
SELECT warden.guard('g', 'block', '{delet}');
\echo :SQLSTATE
SELECT warden.guard('g', 'block', '{delete}', '{}');
SELECT warden.guard(NULL, 'block', '{delete}');
SELECT warden.guard('g', 'block', '{delete}', '{shop.orders}', '{somebody}');
SELECT warden.guard('g', 'block', '{delete}', max_rows => -1);
SELECT warden.guard('g', 'block', '{delete}', networks => '{}');
SELECT warden.guard('g', 'block', '{delete}', hours => '8-16');
SELECT warden.guard('g', 'block', '{delete}', hours => '08:00-16:00 Europe/Oslo1');
SELECT warden.guard('g', 'block', '{delete}', reviewers => '{role:regress_owner}');
SELECT warden.guard('g', 'block', '{delete}', approvals => 2);
SELECT warden.guard('g', 'require_approval', '{delete}', subjects => '{role:regress_agent,agent:*}',
                    networks => '{10.0.0.0/8,::1/128}', hours => '22:00-06:00 europe/oslo',
                    reviewers => '{role:regress_owner}', approvals => 2);
SELECT networks, hours, max_rows, reviewers, approvals FROM warden.guards WHERE name = 'g';
SELECT warden.unguard('g');

-- pg_warden protects itself, against superusers too
DELETE FROM warden.guard_policy WHERE name = 'destructive-ddl';
SET warden.mode = 'off';
DROP EXTENSION pg_warden;
