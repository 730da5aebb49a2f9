-- What sqlsmith finds: tables of all kinds, masked, guarded, and seen through views and functions. Run by ci/sqlsmith.sh as a
-- superuser, in a governed database.

CREATE ROLE shop_owner LOGIN;
CREATE ROLE analyst LOGIN;
ALTER ROLE shop_owner SET statement_timeout = '1s';
ALTER ROLE analyst SET statement_timeout = '1s';
CREATE SCHEMA shop AUTHORIZATION shop_owner;
CREATE SCHEMA secrets AUTHORIZATION shop_owner;
GRANT USAGE ON SCHEMA shop, secrets TO analyst;

SET ROLE shop_owner;
CREATE TABLE shop.customers (
    id int PRIMARY KEY, name text, email text UNIQUE, phone varchar(20), age int, born date, balance numeric(12,2),
    address jsonb, tags text[], home inet, token uuid DEFAULT gen_random_uuid(), initials char(2) GENERATED ALWAYS AS (left(name, 2)) STORED);
CREATE TABLE shop.orders (
    id int PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers ON DELETE CASCADE ON UPDATE CASCADE,
    total numeric NOT NULL, note text);
CREATE TABLE shop.events (id int, day date NOT NULL, email text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE shop.events_january PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE shop.events_february PARTITION OF shop.events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE shop.events_other PARTITION OF shop.events DEFAULT;
CREATE TABLE shop.people (id int, obsolete text, name text);
CREATE TABLE shop.staff (salary int) INHERITS (shop.people);
CREATE TABLE secrets.keys (id int PRIMARY KEY, key text);

INSERT INTO shop.customers (id, name, email, phone, age, born, balance, address, tags, home)
    SELECT i, 'Name ' || i, 'n' || i || '@raw.example', '+39' || i, i % 90, date '1950-01-01' + i, i * 1.5,
           jsonb_build_object('city', 'Rome', 'no', i), ARRAY['a', 'b' || i], ('10.0.0.' || i % 256)::inet
      FROM generate_series(1, 500) i;
INSERT INTO shop.orders SELECT i, i % 500 + 1, i, 'note ' || i FROM generate_series(1, 1000) i;
INSERT INTO shop.events SELECT i, date '2026-01-01' + i % 90, 'e' || i || '@raw.example' FROM generate_series(1, 500) i;
INSERT INTO shop.staff SELECT i, 'x', 'Staff ' || i, i * 100 FROM generate_series(1, 50) i;
INSERT INTO secrets.keys SELECT i, md5(i::text) FROM generate_series(1, 50) i;

CREATE VIEW shop.addresses AS SELECT id, email, address ->> 'city' AS city FROM shop.customers;
CREATE VIEW shop.open_orders AS SELECT * FROM shop.orders WHERE total > 10 WITH CHECK OPTION;
CREATE VIEW shop.totals AS SELECT c.email, sum(o.total) FROM shop.customers c JOIN shop.orders o ON o.customer_id = c.id GROUP BY 1;
CREATE MATERIALIZED VIEW shop.cities AS SELECT address ->> 'city' AS city, count(*) FROM shop.customers GROUP BY 1;
CREATE RULE also AS ON INSERT TO shop.people DO ALSO UPDATE shop.orders SET note = 'x' WHERE id = 1;
CREATE FUNCTION shop.email_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM shop.customers WHERE id = $1';
CREATE FUNCTION shop.defined(int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN RETURN (SELECT name FROM shop.customers WHERE id = $1); END';
CREATE FUNCTION shop.body(int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM shop.orders WHERE id < $1; END;
CREATE FUNCTION shop.rows_of(int) RETURNS SETOF shop.orders LANGUAGE sql STABLE AS 'SELECT * FROM shop.orders WHERE id < $1';
CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; PERFORM email FROM shop.customers LIMIT 1; RETURN NEW; END';
CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.note();
ALTER TABLE shop.people ENABLE ROW LEVEL SECURITY;
CREATE POLICY positive ON shop.people USING (id > 0);
GRANT ALL ON ALL TABLES IN SCHEMA shop, secrets TO analyst;
RESET ROLE;
ALTER TABLE shop.people DISABLE RULE also;
ALTER TABLE shop.people ENABLE RULE also;

SELECT warden.mask('shop.customers.name', 'redact');
SELECT warden.mask('shop.customers.email', 'email');
SELECT warden.mask('shop.customers.phone', 'partial', '{"prefix": 2, "suffix": 1, "fill": "***"}');
SELECT warden.mask('shop.customers.age', 'null');
SELECT warden.mask('shop.customers.balance', 'redact');
SELECT warden.mask('shop.customers.address', 'redact');
SELECT warden.mask('shop.events.email', 'email');
SELECT warden.mask('shop.people.name');
SELECT warden.mask('shop.cities.city', 'null');

SELECT warden.guard('keys are closed', 'block', '{all}', '{secrets.*}', '{role:analyst}');
SELECT warden.guard('ids stay', 'block', '{update}', '{shop.orders.id,shop.customers.id}');
SELECT warden.guard('staff is watched', 'alert', '{write,read}', '{shop.staff,shop.people}');
SELECT warden.guard('deletes ask', 'require_approval', '{delete}', '{shop.events}', '{application:sqlsmith*,role:analyst}');
SELECT warden.guard('owner may', 'allow', '{merge}', '{shop.*}', '{role:shop_owner}', priority => 5);
SELECT warden.guard('noise ' || i, 'block', '{drop}', ARRAY['shop.nothing_' || i]) FROM generate_series(1, 100) i;

-- What later versions have, where it is there.
DO $$
BEGIN
    PERFORM warden.guard('few rows', 'block', '{write,read}', '{shop.cities,shop.open_orders}', max_rows => 100);
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'no max_rows yet';
END
$$;
DO $$
BEGIN
    IF to_regprocedure('warden.label(text, text)') IS NOT NULL THEN
        EXECUTE $sql$SELECT warden.label('secrets.keys.key', 'secret.key'), warden.label('shop.customers.home', 'pii.address')$sql$;
        EXECUTE $sql$SELECT warden.guard('secrets', 'block', '{write}', '{label:secret.*}')$sql$;
    END IF;
END
$$;
ANALYZE;
