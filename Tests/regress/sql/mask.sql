-- Masks as users meet them; the roads to a masked column are in Tests/ServerTests/MaskTests.swift.
CREATE ROLE regress_analyst;
CREATE TABLE people (id int PRIMARY KEY, name text, email text, phone varchar(20), age int, born date);
INSERT INTO people VALUES
    (1, 'Ann Smith', 'ann.smith@example.com', '+44 20 7946 0958', 41, '1984-05-06'),
    (2, 'Bob', 'not an address', '12', NULL, NULL),
    (3, NULL, NULL, NULL, 7, '2019-01-02');
GRANT SELECT, UPDATE ON people TO regress_analyst;

SELECT warden.mask('public.people.name', 'redact');
SELECT warden.mask('public.people.email', 'email');
SELECT warden.mask('public.people.phone', 'partial', '{"prefix": 3, "suffix": 2, "fill": "..."}');
SELECT warden.mask('public.people.age', 'null');
SELECT warden.mask('public.people.born');
SELECT target, method, options, view FROM warden.masks ORDER BY target;
\d+ warden_views.public__people

SET ROLE regress_analyst;
SELECT * FROM people ORDER BY id;
COPY people TO STDOUT;
SELECT count(*) FROM people WHERE email = 'ann.smith@example.com';
UPDATE people SET name = 'x' WHERE email = 'ann.smith@example.com';
UPDATE people SET name = upper(name) WHERE id = 1;
SELECT count(*) FROM pg_stats WHERE tablename = 'people' AND attname IN ('email', 'name');
RESET ROLE;
SELECT * FROM people ORDER BY id;

-- exemptions
SELECT warden.exempt('{role:regress_analyst}', '{public.people.email}', reason => 'support case 17') IS NOT NULL AS exempted;
SET ROLE regress_analyst;
SELECT name, email FROM people WHERE id = 1;
RESET ROLE;
SELECT subjects, targets, reason, active FROM warden.exemptions;
SELECT warden.revoke_exemption(id) FROM warden.exemptions;

-- arguments are checked
SELECT warden.mask('public.people.email', 'hide');
SELECT warden.mask('public.people.nothing', 'redact');
SELECT warden.mask('people', 'redact');
SELECT warden.mask('public.people.age', 'email');
SELECT warden.mask('public.people.phone', 'partial', '{"prefx": 3}');
SELECT warden.mask('public.people.phone', 'partial', '{"prefix": -1}');
SELECT warden.exempt('{somebody}');

-- the functions of the masks, called by hand
SELECT warden.mask_email(v) FROM unnest(ARRAY['a@b.c', 'é@example.org', '@x', 'x@', 'a@b', '', NULL]) v;
SELECT warden.mask_partial(v, 1, 1, '*') FROM unnest(ARRAY['abcd', 'abc', 'ab', 'é€😀x', '', NULL]) v;

SELECT warden.unmask('public.people.email');
SELECT warden.unmask('public.people.email');
SET ROLE regress_analyst;
SELECT name, email FROM people WHERE id = 1;
RESET ROLE;
