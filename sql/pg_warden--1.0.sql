/* pg_warden 1.0 */

\echo Use "CREATE EXTENSION pg_warden" to load this file. \quit

CREATE SCHEMA warden;
COMMENT ON SCHEMA warden IS 'pg_warden: policies, audit trail and the functions that govern this database';

CREATE SCHEMA warden_views;
COMMENT ON SCHEMA warden_views IS 'pg_warden: one view per masked table, what a masked subject sees of it';

-- Refuses where the library was not preloaded: everything else would be a promise that nothing keeps.
CREATE FUNCTION warden.require_preload() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'warden_sql_require_preload';
SELECT warden.require_preload();
DROP FUNCTION warden.require_preload();

-- ---------------------------------------------------------------------------------------------------------------
-- Roles. Roles belong to the cluster: other databases may use them, so DROP EXTENSION leaves them.
-- ---------------------------------------------------------------------------------------------------------------

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['warden_admin', 'warden_reviewer', 'warden_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA warden TO PUBLIC;
-- Views there check the privileges of who reads them on the tables below.
GRANT USAGE ON SCHEMA warden_views TO PUBLIC;

-- ---------------------------------------------------------------------------------------------------------------
-- Policies
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE warden.guard_policy (
    name         text PRIMARY KEY,
    action       text NOT NULL,
    statements   text[] NOT NULL,
    objects      text[] NOT NULL,
    -- what each entry of objects named when the guard was made: the rule follows a rename
    relations    regclass[] NOT NULL,
    subjects     text[] NOT NULL,
    environments text[] NOT NULL,
    message      text,
    priority     int NOT NULL,
    networks     cidr[],
    hours        text,
    max_rows     bigint,
    reviewers    text[],
    approvals    int NOT NULL DEFAULT 1,
    -- as relations, for entries that name a schema, a function, a column
    schemas      regnamespace[],
    functions    regprocedure[],
    columns      int2[],
    builtin      boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE warden.guard_policy IS 'The guards in force; written by warden.guard() and warden.unguard() only';

CREATE TABLE warden.mask_policy (
    relation    regclass NOT NULL,
    -- 0: the column was dropped; the mask is kept for one that gets its name
    attnum      int2 NOT NULL,
    column_name name NOT NULL,
    method      text NOT NULL,
    options     jsonb NOT NULL,
    expression  text NOT NULL,
    source      text NOT NULL DEFAULT 'declared' CHECK (source IN ('declared', 'label', 'derived')),
    -- the pattern of the rule that the mask comes from
    label       text,
    -- the OID of the relation when the row was written; another one after a restore: then column_name tells which column
    -- is meant, attnum else
    made_for    oid,
    PRIMARY KEY (relation, column_name)
);
COMMENT ON TABLE warden.mask_policy IS 'The masks in force; written by warden.mask() and warden.unmask() only';

-- What of mask_policy has source 'label' is made from these.
CREATE TABLE warden.label_mask_policy (
    -- as guards name labels: pii.email, pii.*, *
    label   text PRIMARY KEY,
    -- NULL: by the column's labels, then by its type
    method  text,
    options jsonb NOT NULL,
    made_by name NOT NULL DEFAULT SESSION_USER,
    made_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE warden.label_mask_policy IS 'Masks by label; written by warden.mask() and warden.unmask() only';

-- A method for labels fits at least one of these; others are refused when they are defined.
CREATE TYPE warden.masked_types AS (
    text text, number numeric, integer bigint, day date, instant timestamptz, address inet, document jsonb, id uuid,
    bytes bytea, flag boolean, length interval);
COMMENT ON TYPE warden.masked_types IS 'A column of each kind that masks tell apart, to check masks by label against';

CREATE SEQUENCE warden.exemption_id;
CREATE TABLE warden.exemption_policy (
    id        bigint PRIMARY KEY DEFAULT pg_catalog.nextval('warden.exemption_id'),
    subjects  text[] NOT NULL,
    targets   text[] NOT NULL,
    relations regclass[] NOT NULL,
    until     timestamptz,
    reason    text,
    made_by   name NOT NULL DEFAULT SESSION_USER,
    made_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE warden.exemption_policy IS 'Who sees real values; written by warden.exempt() and warden.revoke_exemption() only';

CREATE TABLE warden.label_policy (
    relation    regclass NOT NULL,
    -- the OID of the relation when the row was written; another one after a restore: then column_name tells which column
    -- is meant, attnum else
    made_for    oid NOT NULL,
    -- 0: every column of the relation, later ones too
    attnum      int2 NOT NULL,
    column_name name NOT NULL,
    label       text NOT NULL,
    source      text NOT NULL CHECK (source IN ('declared', 'discovered', 'derived')),
    made_by     name NOT NULL DEFAULT SESSION_USER,
    made_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (relation, attnum, label)
);
COMMENT ON TABLE warden.label_policy IS 'What columns hold; written by warden.label() and warden.unlabel() only';

-- No configuration table of pg_extension_config_dump: a dump does not hold the secret, and where it is restored CREATE
-- EXTENSION makes another one. The row comes at commit: before that, who creates the extension is not governed.
CREATE TABLE warden.secret_policy (
    secret  bytea NOT NULL,
    made_at timestamptz NOT NULL
);
COMMENT ON TABLE warden.secret_policy IS
'The secret that makes tokens of keyed masks unpredictable. Nobody reads or writes it, superusers included; '
'warden.rotate_secret() replaces it. Dumps do not hold it: a restored database has a secret, and tokens, of its own';
ALTER TABLE warden.secret_policy REPLICA IDENTITY NOTHING;
-- In line, and out of statistics.
ALTER TABLE warden.secret_policy ALTER secret SET STORAGE PLAIN, ALTER secret SET STATISTICS 0;
CREATE FUNCTION warden.make_secret() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'warden_sql_make_secret';
SELECT warden.make_secret();
DROP FUNCTION warden.make_secret();

-- Policies are few and read whole: kept in line, so that loading them needs no snapshot of its own.
ALTER TABLE warden.guard_policy ALTER statements SET STORAGE MAIN, ALTER objects SET STORAGE MAIN,
    ALTER relations SET STORAGE MAIN, ALTER subjects SET STORAGE MAIN, ALTER environments SET STORAGE MAIN,
    ALTER message SET STORAGE MAIN, ALTER networks SET STORAGE MAIN, ALTER hours SET STORAGE MAIN,
    ALTER reviewers SET STORAGE MAIN, ALTER schemas SET STORAGE MAIN, ALTER functions SET STORAGE MAIN,
    ALTER columns SET STORAGE MAIN;
ALTER TABLE warden.exemption_policy ALTER subjects SET STORAGE MAIN, ALTER targets SET STORAGE MAIN,
    ALTER relations SET STORAGE MAIN;
ALTER TABLE warden.label_policy ALTER label SET STORAGE MAIN;

SELECT pg_catalog.pg_extension_config_dump('warden.guard_policy', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('warden.mask_policy', '');
SELECT pg_catalog.pg_extension_config_dump('warden.label_mask_policy', '');
SELECT pg_catalog.pg_extension_config_dump('warden.exemption_policy', '');
SELECT pg_catalog.pg_extension_config_dump('warden.label_policy', '');
SELECT pg_catalog.pg_extension_config_dump('warden.exemption_id', '');

INSERT INTO warden.guard_policy
    (name, action, statements, objects, relations, subjects, environments, message, priority, builtin)
VALUES
    ('destructive-ddl', 'require_approval', '{drop,truncate,drop_column}', '{*}', '{-}', '{*}', '{*}', NULL, 0, true),
    ('whole-table-dml', 'block', '{update_all,delete_all}', '{*}', '{-}', '{*}', '{*}', NULL, 0, true),
    ('server-escape', 'block', '{copy_program,server_file,system}', '{*}', '{-}', '{*}', '{*}', NULL, 0, true);

CREATE VIEW warden.guards AS
    SELECT name, action, statements, objects, subjects, environments,
           networks, hours, max_rows, reviewers, approvals, message, priority, builtin
      FROM warden.guard_policy;
COMMENT ON VIEW warden.guards IS 'Every guard in force, built-in ones included';

CREATE FUNCTION warden.masking_view(relation oid) RETURNS text
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'warden_sql_masking_view';
COMMENT ON FUNCTION warden.masking_view IS 'The view in schema warden_views that shows what masked subjects see of a table';

CREATE FUNCTION warden.exemptions_of(relation oid, attnum int2) RETURNS bigint[]
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'warden_sql_exemptions_of';
COMMENT ON FUNCTION warden.exemptions_of IS 'The exemptions in force that show real values of a masked column';

CREATE VIEW warden.masks AS
    SELECT pg_catalog.format('%I.%I.%I', n.nspname, c.relname, p.column_name) AS target,
           p.relation, p.column_name, p.method, p.options, p.source, p.label,
           CASE WHEN p.attnum <> 0 THEN p.expression END AS expression,
           CASE WHEN p.attnum <> 0 THEN warden.masking_view(p.relation) END AS view,
           CASE WHEN p.attnum <> 0 THEN
               ARRAY['owner ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)), 'superusers'] ||
               ARRAY(SELECT pg_catalog.format('exemption %s: %s', e.id, pg_catalog.array_to_string(e.subjects, ', ')) ||
                            COALESCE(' until ' || NULLIF(e.until, 'infinity'), '')
                       FROM warden.exemption_policy e
                      WHERE e.id = ANY (warden.exemptions_of(p.relation, p.attnum)) ORDER BY e.id) END AS exempt
      FROM warden.mask_policy p
      JOIN pg_catalog.pg_class c ON c.oid = p.relation
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    UNION ALL
    SELECT 'label:' || r.label, NULL, NULL, r.method, r.options, 'declared', r.label, NULL, NULL, NULL
      FROM warden.label_mask_policy r;
COMMENT ON VIEW warden.masks IS
'Every masked column: its method, where that comes from (declared, label, derived), the view that shows what masked '
'subjects see, and who sees real values at this moment. Every mask by label has a row of its own, without a relation; a mask without a view is kept for a column '
'that was dropped';

CREATE VIEW warden.exemptions AS
    SELECT id, subjects, targets, until, reason, made_by, made_at,
           until IS NULL OR until > pg_catalog.clock_timestamp() AS active,
           CASE WHEN until <= pg_catalog.clock_timestamp() THEN 'expired'
                WHEN NOT EXISTS (
                    SELECT FROM pg_catalog.unnest(subjects) s WHERE NOT EXISTS (
                        SELECT FROM pg_catalog.regexp_split_to_table(s, ' & ') part
                         WHERE part LIKE 'role:%' AND part NOT IN (SELECT 'role:' || r.rolname FROM pg_catalog.pg_roles r)))
                THEN 'for nobody: its roles are gone'
                WHEN NULLIF(until, 'infinity') IS NULL THEN 'in force for good' ELSE 'in force until then' END AS state
      FROM warden.exemption_policy;
COMMENT ON VIEW warden.exemptions IS 'Who sees real values of masked columns, until when and why';

CREATE VIEW warden.labels AS
    SELECT pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname) AS "column", l.label, l.source,
           pg_catalog.format(CASE l.attnum WHEN 0 THEN '%I.%I' ELSE '%I.%I.%I' END, n.nspname, c.relname, a.attname) AS target,
           l.relation, l.made_by, l.made_at
      FROM warden.label_policy l
      JOIN pg_catalog.pg_class c ON c.oid = l.relation
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       AND CASE WHEN l.attnum = 0 THEN true WHEN l.made_for = c.oid THEN a.attnum = l.attnum
                ELSE a.attname = l.column_name END;
COMMENT ON VIEW warden.labels IS
'Every labelled column: its label, where that comes from (declared, discovered, derived), and the target it was given to. '
'Columns of the same name in parents and children of the table carry it too';

-- A view's functions are checked against who reads the view.
GRANT EXECUTE ON FUNCTION warden.masking_view(oid), warden.exemptions_of(oid, int2) TO warden_admin, warden_reviewer, warden_auditor;
GRANT SELECT ON warden.guards, warden.masks, warden.exemptions, warden.labels TO warden_admin, warden_reviewer, warden_auditor;

CREATE FUNCTION warden.guard(
    name text, action text, statements text[],
    objects text[] DEFAULT '{*}', subjects text[] DEFAULT '{*}', environments text[] DEFAULT '{*}',
    networks cidr[] DEFAULT NULL, hours text DEFAULT NULL, max_rows bigint DEFAULT NULL,
    reviewers text[] DEFAULT NULL, approvals int DEFAULT 1,
    message text DEFAULT NULL, priority int DEFAULT 0) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_guard';
COMMENT ON FUNCTION warden.guard IS
'Makes or replaces a guard: statements of these classes, on these objects, by these subjects, in these environments, '
'from these networks, at these hours (HH:MM-HH:MM, perhaps with a time zone''s name; else by log_timezone) are refused '
'(block, require_approval), reported (alert) or let through (allow). Of the matching guards those of the highest '
'priority decide, the most severe first. With max_rows a guard acts on statements that return or change more rows than that.';

CREATE FUNCTION warden.unguard(name text) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'warden_sql_unguard';
COMMENT ON FUNCTION warden.unguard IS 'Removes a guard; false where there was none of that name';

CREATE FUNCTION warden.explain(
    statement text, subject name DEFAULT CURRENT_USER,
    OUT guard text, OUT action text, OUT object text, OUT reason text) RETURNS SETOF record
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_explain';
COMMENT ON FUNCTION warden.explain IS
'What would be decided of a statement, or several, if the subject ran it from a session like this one: each guard that matches '
'an act on an object, and why it decides or does not; the last row of a statement, without a guard, is the result. No rows: '
'nothing matches. Nothing runs. Of another role it tells superusers, members of warden_admin and members of that role';

-- ---------------------------------------------------------------------------------------------------------------
-- Masks
-- ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION warden.mask_partial(value text, prefix int, suffix int, fill text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_partial';
COMMENT ON FUNCTION warden.mask_partial(text, int, int, text) IS
'The mask `partial`: keeps prefix characters at the start and suffix at the end, fill stands for the rest; a value '
'that would hide less than one character becomes fill alone';

CREATE FUNCTION warden.mask_email(value text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_email';
COMMENT ON FUNCTION warden.mask_email(text) IS
'The mask `email`: alice@example.com becomes a***@***.com; what is no e-mail address becomes ***';

CREATE FUNCTION warden.mask_partial(value text[], prefix int, suffix int, fill text) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_partial_each';
COMMENT ON FUNCTION warden.mask_partial(text[], int, int, text) IS 'The mask `partial`, of each element';

CREATE FUNCTION warden.mask_email(value text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_email_each';
COMMENT ON FUNCTION warden.mask_email(text[]) IS 'The mask `email`, of each element';

CREATE FUNCTION warden.mask_last4(value text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_last4';
COMMENT ON FUNCTION warden.mask_last4(text) IS 'The mask `last4`: **** and the last four letters and digits of a value that has more than eight';

CREATE FUNCTION warden.mask_last4(value text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_last4_each';
COMMENT ON FUNCTION warden.mask_last4(text[]) IS 'The mask `last4`, of each element: **** and the last four letters and digits of a value that has more than eight';

CREATE FUNCTION warden.mask_hash(value text, length int) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_text';
COMMENT ON FUNCTION warden.mask_hash(text, int) IS 'The mask `hash`: a token that the value and the secret of the database determine';

CREATE FUNCTION warden.mask_hash(value text[], length int) RETURNS text[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_text_each';
COMMENT ON FUNCTION warden.mask_hash(text[], int) IS 'The mask `hash`, of each element: a token that the value and the secret of the database determine';

CREATE FUNCTION warden.mask_hash(value int8, width int) RETURNS int8
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_integer';
COMMENT ON FUNCTION warden.mask_hash(int8, int) IS 'The mask `hash`: a token that is not negative';

CREATE FUNCTION warden.mask_hash(value int8[], width int) RETURNS int8[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_integer_each';
COMMENT ON FUNCTION warden.mask_hash(int8[], int) IS 'The mask `hash`, of each element: a token that is not negative';

CREATE FUNCTION warden.mask_hash(value numeric, digits int) RETURNS numeric
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_numeric';
COMMENT ON FUNCTION warden.mask_hash(numeric, int) IS 'The mask `hash`: a token that is a positive whole number';

CREATE FUNCTION warden.mask_hash(value numeric[], digits int) RETURNS numeric[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_numeric_each';
COMMENT ON FUNCTION warden.mask_hash(numeric[], int) IS 'The mask `hash`, of each element: a token that is a positive whole number';

CREATE FUNCTION warden.mask_hash(value uuid) RETURNS uuid
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_uuid';
COMMENT ON FUNCTION warden.mask_hash(uuid) IS 'The mask `hash`: a UUID that the value and the secret of the database determine';

CREATE FUNCTION warden.mask_hash(value uuid[]) RETURNS uuid[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_uuid_each';
COMMENT ON FUNCTION warden.mask_hash(uuid[]) IS 'The mask `hash`, of each element: a UUID that the value and the secret of the database determine';

CREATE FUNCTION warden.mask_hash(value bytea) RETURNS bytea
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_bytea';
COMMENT ON FUNCTION warden.mask_hash(bytea) IS 'The mask `hash`: HMAC-SHA-256 with a key made from the secret of the database';

CREATE FUNCTION warden.mask_hash(value bytea[]) RETURNS bytea[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_bytea_each';
COMMENT ON FUNCTION warden.mask_hash(bytea[]) IS 'The mask `hash`, of each element: HMAC-SHA-256 with a key made from the secret of the database';

CREATE FUNCTION warden.mask_noise(value int8, percent int, width int) RETURNS int8
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_integer';
COMMENT ON FUNCTION warden.mask_noise(int8, int, int) IS 'The mask `noise`: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value int8[], percent int, width int) RETURNS int8[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_integer_each';
COMMENT ON FUNCTION warden.mask_noise(int8[], int, int) IS 'The mask `noise`, of each element: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value numeric, percent int, digits int) RETURNS numeric
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_numeric';
COMMENT ON FUNCTION warden.mask_noise(numeric, int, int) IS 'The mask `noise`: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value numeric[], percent int, digits int) RETURNS numeric[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_numeric_each';
COMMENT ON FUNCTION warden.mask_noise(numeric[], int, int) IS 'The mask `noise`, of each element: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value float8, percent int, width int) RETURNS float8
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_float';
COMMENT ON FUNCTION warden.mask_noise(float8, int, int) IS 'The mask `noise`: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value float8[], percent int, width int) RETURNS float8[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_float_each';
COMMENT ON FUNCTION warden.mask_noise(float8[], int, int) IS 'The mask `noise`, of each element: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value money, percent int) RETURNS money
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_money';
COMMENT ON FUNCTION warden.mask_noise(money, int) IS 'The mask `noise`: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value money[], percent int) RETURNS money[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_money_each';
COMMENT ON FUNCTION warden.mask_noise(money[], int) IS 'The mask `noise`, of each element: the value moved by up to so many millionths of a percent';

CREATE FUNCTION warden.mask_noise(value date, days int) RETURNS date
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_date';
COMMENT ON FUNCTION warden.mask_noise(date, int) IS 'The mask `noise`: the value moved by up to so many days';

CREATE FUNCTION warden.mask_noise(value date[], days int) RETURNS date[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_date_each';
COMMENT ON FUNCTION warden.mask_noise(date[], int) IS 'The mask `noise`, of each element: the value moved by up to so many days';

CREATE FUNCTION warden.mask_noise(value timestamp, days int) RETURNS timestamp
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_timestamp';
COMMENT ON FUNCTION warden.mask_noise(timestamp, int) IS 'The mask `noise`: the value moved by up to so many days';

CREATE FUNCTION warden.mask_noise(value timestamp[], days int) RETURNS timestamp[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_timestamp_each';
COMMENT ON FUNCTION warden.mask_noise(timestamp[], int) IS 'The mask `noise`, of each element: the value moved by up to so many days';

CREATE FUNCTION warden.mask_noise(value timestamptz, days int) RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_timestamp';
COMMENT ON FUNCTION warden.mask_noise(timestamptz, int) IS 'The mask `noise`: the value moved by up to so many days';

CREATE FUNCTION warden.mask_noise(value timestamptz[], days int) RETURNS timestamptz[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_noise_timestamptz_each';
COMMENT ON FUNCTION warden.mask_noise(timestamptz[], int) IS 'The mask `noise`, of each element: the value moved by up to so many days';

CREATE FUNCTION warden.mask_round(value int8, step int8, width int) RETURNS int8
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_integer';
COMMENT ON FUNCTION warden.mask_round(int8, int8, int) IS 'The mask `round`: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value int8[], step int8, width int) RETURNS int8[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_integer_each';
COMMENT ON FUNCTION warden.mask_round(int8[], int8, int) IS 'The mask `round`, of each element: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value numeric, step numeric, digits int) RETURNS numeric
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_numeric';
COMMENT ON FUNCTION warden.mask_round(numeric, numeric, int) IS 'The mask `round`: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value numeric[], step numeric, digits int) RETURNS numeric[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_numeric_each';
COMMENT ON FUNCTION warden.mask_round(numeric[], numeric, int) IS 'The mask `round`, of each element: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value float8, step float8, width int) RETURNS float8
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_float';
COMMENT ON FUNCTION warden.mask_round(float8, float8, int) IS 'The mask `round`: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value float8[], step float8, width int) RETURNS float8[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_float_each';
COMMENT ON FUNCTION warden.mask_round(float8[], float8, int) IS 'The mask `round`, of each element: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value money, step money) RETURNS money
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_money';
COMMENT ON FUNCTION warden.mask_round(money, money) IS 'The mask `round`: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value money[], step money) RETURNS money[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_money_each';
COMMENT ON FUNCTION warden.mask_round(money[], money) IS 'The mask `round`, of each element: the nearest multiple of step';

CREATE FUNCTION warden.mask_round(value date, unit text) RETURNS date
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_date';
COMMENT ON FUNCTION warden.mask_round(date, text) IS 'The mask `round`: when the unit began';

CREATE FUNCTION warden.mask_round(value date[], unit text) RETURNS date[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_date_each';
COMMENT ON FUNCTION warden.mask_round(date[], text) IS 'The mask `round`, of each element: when the unit began';

CREATE FUNCTION warden.mask_round(value timestamp, unit text) RETURNS timestamp
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_timestamp';
COMMENT ON FUNCTION warden.mask_round(timestamp, text) IS 'The mask `round`: when the unit began';

CREATE FUNCTION warden.mask_round(value timestamp[], unit text) RETURNS timestamp[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_timestamp_each';
COMMENT ON FUNCTION warden.mask_round(timestamp[], text) IS 'The mask `round`, of each element: when the unit began';

CREATE FUNCTION warden.mask_round(value timestamptz, unit text) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_timestamp';
COMMENT ON FUNCTION warden.mask_round(timestamptz, text) IS 'The mask `round`: when the unit began, in UTC';

CREATE FUNCTION warden.mask_round(value timestamptz[], unit text) RETURNS timestamptz[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_timestamptz_each';
COMMENT ON FUNCTION warden.mask_round(timestamptz[], text) IS 'The mask `round`, of each element: when the unit began, in UTC';

CREATE FUNCTION warden.mask_round(value time, unit text) RETURNS time
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_time';
COMMENT ON FUNCTION warden.mask_round(time, text) IS 'The mask `round`: when the hour began';

CREATE FUNCTION warden.mask_round(value time[], unit text) RETURNS time[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_round_time_each';
COMMENT ON FUNCTION warden.mask_round(time[], text) IS 'The mask `round`, of each element: when the hour began';

CREATE FUNCTION warden.mask_ip_prefix(value inet, v4 int, v6 int) RETURNS inet
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_ip_prefix';
COMMENT ON FUNCTION warden.mask_ip_prefix(inet, int, int) IS 'The mask `ip_prefix`: the network of an address';

CREATE FUNCTION warden.mask_ip_prefix(value inet[], v4 int, v6 int) RETURNS inet[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_ip_prefix_each';
COMMENT ON FUNCTION warden.mask_ip_prefix(inet[], int, int) IS 'The mask `ip_prefix`, of each element: the network of an address';

CREATE FUNCTION warden.mask_hash(value anyenum) RETURNS anyenum
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_hash_enum';
COMMENT ON FUNCTION warden.mask_hash(anyenum) IS 'The mask `hash`: a label that the value and the secret of the database determine';

CREATE FUNCTION warden.mask_fake(value text, kind text, max_characters int) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_fake';
COMMENT ON FUNCTION warden.mask_fake(text, text, int) IS
'The mask `fake`: another value of the kind, which the secret and the value decide; of at most so many characters, -1: any number';

CREATE FUNCTION warden.mask_fake(value text[], kind text, max_characters int) RETURNS text[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_fake_each';
COMMENT ON FUNCTION warden.mask_fake(text[], text, int) IS 'The mask `fake`, of each element';

CREATE FUNCTION warden.mask_scrub(value text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_scrub';
COMMENT ON FUNCTION warden.mask_scrub(text) IS
'The mask `scrub`: e-mail addresses, phones, cards, IBANs, national identity numbers, IP addresses, keys and tokens '
'within free text become [email], [phone], [card], [iban], [id], [ip], [key]';

CREATE FUNCTION warden.mask_scrub(value text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_scrub_each';
COMMENT ON FUNCTION warden.mask_scrub(text[]) IS 'The mask `scrub`, of each element';

CREATE FUNCTION warden.mask_json(value text, plan text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_json';
COMMENT ON FUNCTION warden.mask_json(text, text) IS
'The mask `json`: members of a JSON text are masked as the lines of the plan say, each a method and a path; all else stays';

CREATE FUNCTION warden.mask_json(value text[], plan text) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_json_each';
COMMENT ON FUNCTION warden.mask_json(text[], text) IS 'The mask `json`, of each element';

CREATE FUNCTION warden.rotate_secret() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_rotate_secret';
COMMENT ON FUNCTION warden.rotate_secret IS
'Replaces the secret of keyed masks (hash, fake, noise): from its commit on every session sees other tokens, which do not '
'match tokens that were shown or copied before';

CREATE FUNCTION warden.mask_column_statistics(relation oid, attribute smallint) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'warden_sql_mask_column_statistics';
COMMENT ON FUNCTION warden.mask_column_statistics IS
'True where the session may see the statistics of a column, or of an index; in plans, keeps those of masked columns from it';

CREATE FUNCTION warden.mask_extended_statistics(statistics oid) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'warden_sql_mask_extended_statistics';
COMMENT ON FUNCTION warden.mask_extended_statistics IS 'The same for statistics of several columns';

CREATE FUNCTION warden.mask_statement_text(process int, role oid, statement text) RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'warden_sql_mask_statement_text';
COMMENT ON FUNCTION warden.mask_statement_text IS
'A statement as the session may see it: its own, and those of others where it sees no masks; in plans';

CREATE FUNCTION warden.mask_backend_activity(backend int) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'warden_sql_mask_backend_activity';
COMMENT ON FUNCTION warden.mask_backend_activity IS 'pg_stat_get_backend_activity, with statements as the session may see them';

CREATE FUNCTION warden.mask_caught(expression anyelement, constant anyelement) RETURNS anyelement
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_caught';
COMMENT ON FUNCTION warden.mask_caught IS
'In masking views: the value of the expression, or the constant where the expression raises an error';

CREATE FUNCTION warden.mask_caught_row("column" "any", expression anyelement, constant anyelement) RETURNS anyelement
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_caught_row';
COMMENT ON FUNCTION warden.mask_caught_row IS 'What mask_caught becomes when a statement is planned';

CREATE FUNCTION warden.mask_write_check(value anyelement, shown anyelement, null_for_null boolean, "column" text)
    RETURNS anyelement LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_write_check';
COMMENT ON FUNCTION warden.mask_write_check IS
'In plans of masked subjects: the new value of a masked column, or an error where it is what the mask shows of the old one';

CREATE FUNCTION warden.mask_never() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_mask_never';
COMMENT ON FUNCTION warden.mask_never IS 'False; in plans, keeps the executor from evaluating what mask_caught_row does';

CREATE FUNCTION warden.mask(target text, method text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_mask';
COMMENT ON FUNCTION warden.mask IS
'Masks a column (''schema.table.column''), or each column that carries a label (''label:pii.email'', ''label:pii.*''), later '
'ones too: everyone but the owner, superusers and exempt subjects sees it through the method, such as redact, null, partial '
'(options prefix, suffix, fill), email, last4, hash, fake (kind), year, round, noise, ip_prefix, json, scrub, expression (sql). '
'Method NULL: by the column''s labels (pii.email: email; name: fake or partial; phone, card, payment, iban: last4; ip: '
'ip_prefix; birth*: year; address: fake; note, free_text: scrub; secret: redact), then by its type. A method of a label that '
'does not fit a column gives way to its type''s. A column''s own mask stands before its labels'', an exact label before a pattern';

CREATE FUNCTION warden.unmask(target text) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'warden_sql_unmask';
COMMENT ON FUNCTION warden.unmask IS 'Takes the mask off a column, or off a label (''label:pii.email''); false where it had none. A mask outlives its column, for '
'one that gets its name: it is taken off the same way';

CREATE FUNCTION warden.check_masks(role name)
    RETURNS TABLE (target text, door text, leaks boolean, detail text)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_check_masks';
COMMENT ON FUNCTION warden.check_masks IS
'For warden_admin, as a role that the session could SET ROLE to. Tries, as the role, the known doors to each masked column and says which show real values: a self-test. Looks at the first '
'1,000 rows of each table; all it does is taken back. detail never holds a value';

CREATE FUNCTION warden.exempt(subjects text[], targets text[] DEFAULT '{*}', until timestamptz DEFAULT NULL,
                              reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_exempt';
COMMENT ON FUNCTION warden.exempt IS
'Lets subjects see real values of targets (*, schema.*, schema.table, schema.table.column, label:pii.*), until a time or for good; '
'returns the number to revoke it by. Subjects are *, role:NAME, identity:GLOB, group:GLOB, agent:GLOB; or one of them and '
'others, for who matches all of them: ''role:support & application:helpdesk''. At the time the exemption ends, by itself';

CREATE FUNCTION warden.revoke_exemption(id bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'warden_sql_revoke_exemption';
COMMENT ON FUNCTION warden.revoke_exemption IS 'Ends an exemption; false where there was none of that number';

-- ---------------------------------------------------------------------------------------------------------------
-- Labels
-- ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION warden.label(target text, label text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_label';
COMMENT ON FUNCTION warden.label IS
'Says what a column holds: a label of dotted lower-case words such as pii.email or secret.token. Guards and exemptions name '
'labels (label:pii.*), the audit tells them, and leaves values of labelled columns out. The target is schema.table.column, or '
'schema.table for each of its columns, later ones too. A column can have several labels; they follow its renames';

CREATE FUNCTION warden.unlabel(target text, label text DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_unlabel';
COMMENT ON FUNCTION warden.unlabel IS
'Takes a label off the target that it was given to, or all of them where none is named; false where there was none';

-- ---------------------------------------------------------------------------------------------------------------
-- Audit
-- ---------------------------------------------------------------------------------------------------------------

-- What many records say alike is stored once, in rows that never change; docs/audit-format.md.
CREATE TABLE warden.audit_context (
    id                int PRIMARY KEY,
    digest            bytea NOT NULL UNIQUE,
    database_name     text,
    session_user_name text,
    role_name         text,
    identity          text,
    agent             text,
    application_name  text,
    client_addr       text,
    environment       text,
    intent            text,
    ticket            text,
    run               text
);
COMMENT ON TABLE warden.audit_context IS 'Who acted, for records of the audit; written by the audit writer only';

CREATE TABLE warden.audit_shape (
    id             int PRIMARY KEY,
    digest         bytea NOT NULL UNIQUE,
    statement_hash bigint,
    class          text,
    command        text,
    decision       text,
    guard          text,
    access         text,
    statement      text
);
COMMENT ON TABLE warden.audit_shape IS
'What records that repeat each other have in common: class, command, decision, guard, and where they were seen before the '
'objects touched and the text; written by the audit writer only';

-- What differs from record to record. By width: no padding, and the writer fills it fastest.
CREATE TABLE warden.audit_record (
    seq               bigint NOT NULL,
    at                timestamptz NOT NULL,
    session           bigint NOT NULL,
    statement_no      bigint,
    last_statement_no bigint,
    parent_no         bigint,
    rows              bigint,
    bytes             bigint,
    duration          bigint,
    request_id        bigint,
    -- this and access and statement: of records whose shape does not have them
    statement_hash    bigint,
    context           int NOT NULL,
    shape             int NOT NULL,
    transaction       int,
    event             "char" NOT NULL,
    outcome           "char",
    sqlstate          text,
    error             text,
    statement         text,
    access            text,
    parameters        text,
    hash              bytea NOT NULL
) PARTITION BY RANGE (at);
COMMENT ON TABLE warden.audit_record IS
'The audit, a partition per day (UTC), as written; read it through warden.audit_log. Nobody may change it: not a superuser';
COMMENT ON COLUMN warden.audit_record.event IS
's statement, c connect, d disconnect, f auth_failed, t transaction, p policy, r request, v decision, a alert, b break_glass, g gap';
COMMENT ON COLUMN warden.audit_record.outcome IS
'o open, c committed, r rolled_back, f failed, b blocked, i interrupted';

-- Every index is paid for by every statement. Of the writer's 1.6 us of processor time and 130 bytes of WAL per record (row
-- and these two included), a btree on session or on seq would add 0.7 us and 65 bytes, a BRIN bloom on session or
-- shape 0.2 us (bench/writer.sh). Records arrive in order of seq and time: BRIN finds both, and costs next to nothing,
-- because only the extremes of a block are told to it.
CREATE INDEX audit_record_seq ON warden.audit_record USING brin (seq, at) WITH (pages_per_range = 16);
-- What came after a record was written, looked up for records whose outcome was open then; and lists of objects that are
-- not in the shape that many records share.
CREATE INDEX audit_record_amendment ON warden.audit_record (session, statement_no) WHERE event = 't' OR access IS NOT NULL;

CREATE TABLE warden.audit_chain (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    last_seq  bigint NOT NULL,
    records   bigint NOT NULL,
    head      bytea NOT NULL,
    -- which chain it is, whatever becomes of names and clusters
    chain     uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    -- the cluster and timeline it was last written on; 0 before the first record
    system_identifier bigint NOT NULL DEFAULT 0,
    timeline  int NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
COMMENT ON TABLE warden.audit_chain IS
'How far the audit has been written, and the hash of its last record; changes in the transaction that writes records';
INSERT INTO warden.audit_chain (last_seq, records, head) VALUES (0, 0, pg_catalog.decode(pg_catalog.repeat('00', 32), 'hex'));

CREATE FUNCTION warden.statement_tags(statement text) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_statement_tags';
COMMENT ON FUNCTION warden.statement_tags IS
'What the application told in a comment of the statement, as sqlcommenter writes it: /*route=''%2Fusers''*/ gives {"route": "/users"}';

-- What is kept of partitions that warden.retain has dropped: verification goes on from there.
CREATE TABLE warden.audit_retained (
    id          int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    partition   name NOT NULL,
    first_seq   bigint,
    last_seq    bigint,
    records     bigint NOT NULL,
    first_at    timestamptz,
    last_at     timestamptz,
    head_before bytea,
    head_after  bytea,
    dropped_by  name NOT NULL DEFAULT SESSION_USER,
    dropped_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE warden.audit_retained IS
'What the partitions that warden.retain() dropped had in them, and the hashes before and after; the audit''s event of that has '
'a digest of it';

-- Around midnight the records of two days take turns: those of a kept day that are numbered below what was dropped.
CREATE TABLE warden.audit_loose (
    seq         bigint PRIMARY KEY,
    hash_before bytea
);
COMMENT ON TABLE warden.audit_loose IS
'Records numbered within the range of dropped partitions that are still there, with the hash that theirs follows on';

-- Of a statement that was written while it ran, the rest came in records of their own. They are looked up for such
-- records only, and for the columns that are asked for.
CREATE VIEW warden.audit_log AS
    SELECT r.seq, r.at,
           CASE r.event WHEN 's' THEN 'statement' WHEN 'c' THEN 'connect' WHEN 'd' THEN 'disconnect'
                        WHEN 'f' THEN 'auth_failed' WHEN 't' THEN 'transaction' WHEN 'p' THEN 'policy'
                        WHEN 'r' THEN 'request' WHEN 'v' THEN 'decision' WHEN 'a' THEN 'alert'
                        WHEN 'b' THEN 'break_glass' WHEN 'g' THEN 'gap' ELSE 'unknown' END AS event,
           pg_catalog.to_hex(r.session >> 22) || '.' || pg_catalog.to_hex(r.session & 4194303) AS session_id,
           r.statement_no, r.parent_no,
           c.database_name::name AS database_name, c.session_user_name::name AS session_user_name,
           c.role_name::name AS role_name, c.identity, c.agent, c.application_name,
           c.client_addr::inet AS client_addr, c.environment, c.intent, c.ticket, c.run,
           warden.statement_tags(COALESCE(r.statement, s.statement)) AS tags, s.class, s.command,
           COALESCE(r.statement, s.statement) AS statement,
           pg_catalog.lpad(pg_catalog.to_hex(COALESCE(r.statement_hash, s.statement_hash)), 16, '0') AS statement_hash,
           r.parameters::text[] AS parameters,
           -- of a statement whose rows were counted (its own number stands in last_statement_no) the count may have decided
           CASE WHEN r.event = 't' THEN NULL WHEN r.last_statement_no IS NULL THEN s.decision ELSE COALESCE((
                    SELECT d.decision FROM warden.audit_record a JOIN warden.audit_shape d ON d.id = a.shape
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no = r.statement_no
                       AND a.last_statement_no IS NULL AND a.seq > r.seq AND d.guard IS NOT NULL
                     ORDER BY a.seq DESC LIMIT 1), s.decision) END AS decision,
           CASE WHEN r.event = 't' THEN NULL WHEN r.last_statement_no IS NULL THEN s.guard ELSE COALESCE((
                    SELECT d.guard FROM warden.audit_record a JOIN warden.audit_shape d ON d.id = a.shape
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no = r.statement_no
                       AND a.last_statement_no IS NULL AND a.seq > r.seq AND d.guard IS NOT NULL
                     ORDER BY a.seq DESC LIMIT 1), s.guard) END AS guard,
           CASE WHEN r.event <> 't' THEN r.request_id END AS request_id,
           -- the outcome: of the statement itself where it failed, else of the transaction or savepoint that held it
           CASE COALESCE(CASE WHEN r.outcome = 'o' THEN (
                    SELECT a.outcome FROM warden.audit_record a
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no <= r.statement_no
                       AND COALESCE(a.last_statement_no, a.statement_no) >= r.statement_no
                       AND a.outcome <> 'o' AND a.seq > r.seq
                     ORDER BY a.last_statement_no IS NULL DESC, a.seq LIMIT 1) END, r.outcome)
                WHEN 'o' THEN CASE WHEN r.event <> 't' THEN 'open' END WHEN 'c' THEN 'committed' WHEN 'r' THEN 'rolled_back'
                WHEN 'f' THEN 'failed' WHEN 'b' THEN 'blocked' WHEN 'i' THEN 'interrupted' END AS outcome,
           CASE WHEN r.outcome = 'o' THEN COALESCE((
                    SELECT a.sqlstate FROM warden.audit_record a
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no = r.statement_no
                       AND a.last_statement_no IS NULL AND a.duration IS NOT NULL AND a.seq > r.seq
                     ORDER BY a.seq DESC LIMIT 1), r.sqlstate) ELSE r.sqlstate END AS sqlstate,
           CASE WHEN r.outcome = 'o' THEN COALESCE((
                    SELECT a.error FROM warden.audit_record a
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no = r.statement_no
                       AND a.last_statement_no IS NULL AND a.duration IS NOT NULL AND a.seq > r.seq
                     ORDER BY a.seq DESC LIMIT 1), r.error) ELSE r.error END AS error,
           CASE WHEN r.outcome = 'o' THEN COALESCE((
                    SELECT a.rows FROM warden.audit_record a
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no = r.statement_no
                       AND a.last_statement_no IS NULL AND a.duration IS NOT NULL AND a.seq > r.seq
                     ORDER BY a.seq DESC LIMIT 1), r.rows) ELSE r.rows END AS rows,
           CASE WHEN r.outcome = 'o' THEN COALESCE((
                    SELECT a.bytes FROM warden.audit_record a
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no = r.statement_no
                       AND a.last_statement_no IS NULL AND a.duration IS NOT NULL AND a.seq > r.seq
                     ORDER BY a.seq DESC LIMIT 1), r.bytes) ELSE r.bytes END AS bytes,
           CASE WHEN r.outcome = 'o' THEN COALESCE((
                    SELECT a.duration FROM warden.audit_record a
                     WHERE a.event = 't' AND a.session = r.session AND a.statement_no = r.statement_no
                       AND a.last_statement_no IS NULL AND a.duration IS NOT NULL AND a.seq > r.seq
                     ORDER BY a.seq DESC LIMIT 1), r.duration) ELSE r.duration END / 1000.0::double precision AS duration_ms,
           r.session::text || '/' || (r.transaction::bigint & 4294967295)::text AS transaction_id, r.hash, r.session
      FROM warden.audit_record r
      LEFT JOIN warden.audit_context c ON c.id = r.context
      LEFT JOIN warden.audit_shape s ON s.id = r.shape;
COMMENT ON VIEW warden.audit_log IS
'Who did what, when, where from, with what decision and outcome: a row per statement and event, in order of seq, without holes';

CREATE VIEW warden.audit_access AS
    -- Most records have their list in the shape that they share: it is unpacked once per shape, not once per record.
    SELECT r.seq, a.relation, a.oid AS relation_oid, a.action,
           a.columns, a.masked_columns, COALESCE(a.labels, '{}') AS labels, a.via,
           r.at, c.session_user_name::name AS session_user_name, c.role_name::name AS role_name, c.identity
      FROM warden.audit_shape s
     CROSS JOIN LATERAL pg_catalog.json_to_recordset(s.access::json)
           AS a(relation text, oid oid, kind text, action text, columns text[], masked_columns text[], labels text[],
             via text)
      JOIN warden.audit_record r ON r.shape = s.id AND r.event <> 't'
      LEFT JOIN warden.audit_context c ON c.id = r.context
     WHERE s.access IS NOT NULL
    UNION ALL
    -- The rest: a list that came for the first time; and what a statement was found to reach while it ran, which came in a
    -- record of its own that names the statement's.
    SELECT CASE WHEN r.event = 't' THEN r.request_id ELSE r.seq END, a.relation, a.oid, a.action, a.columns,
           a.masked_columns, COALESCE(a.labels, '{}'), a.via,
           r.at, c.session_user_name::name, c.role_name::name, c.identity
      FROM warden.audit_record r
      JOIN warden.audit_shape s ON s.id = r.shape
     CROSS JOIN LATERAL pg_catalog.json_to_recordset(COALESCE(r.access, s.access)::json)
           AS a(relation text, oid oid, kind text, action text, columns text[], masked_columns text[], labels text[],
             via text)
      LEFT JOIN warden.audit_context c ON c.id = r.context
     WHERE (r.event = 't' OR r.access IS NOT NULL) AND (r.event <> 't' OR r.request_id IS NOT NULL);
COMMENT ON VIEW warden.audit_access IS
'What each recorded statement touched: a row per relation and action, with the columns, those seen masked, and their labels';

GRANT SELECT ON warden.audit_log, warden.audit_access TO warden_auditor;

CREATE FUNCTION warden.session_number(session text) RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'warden_sql_session_number';
COMMENT ON FUNCTION warden.session_number IS
'The number of a session id, as in audit_log.session: comparing numbers is faster than comparing session_id';

-- Amendments say nothing of who acted: some are the writer's, about sessions that were killed.
CREATE VIEW warden.sessions AS
    SELECT pg_catalog.to_hex(t.session >> 22) || '.' || pg_catalog.to_hex(t.session & 4194303) AS session_id,
           c.database_name::name AS database_name, c.session_user_name::name AS session_user_name, c.application_name,
           c.client_addr::inet AS client_addr, t.identity, t.started, t.ended, t.statements, t.refused, t.failed,
           t.last_statement_at,
           pg_catalog.substring(COALESCE(t.connect_text, s.statement), 'method=([^ ]+)') AS authentication, t.session
      FROM (SELECT p.session, pg_catalog.min(p.started) AS started, pg_catalog.max(p.ended) AS ended,
                   pg_catalog.sum(p.statements)::bigint AS statements, pg_catalog.sum(p.refused)::bigint AS refused,
                   pg_catalog.sum(p.failed)::bigint AS failed, pg_catalog.max(p.last_statement_at) AS last_statement_at,
                   pg_catalog.max(p.connect_text) AS connect_text, pg_catalog.max(p.connect_shape) AS connect_shape,
                   (pg_catalog.array_agg(p.context ORDER BY p.first_seq))[1] AS context,
                   (pg_catalog.array_agg(k.identity ORDER BY p.first_seq DESC) FILTER (WHERE k.identity IS NOT NULL
                                                                         AND p.first_seq IS NOT NULL))[1] AS identity
              FROM (SELECT r.session, r.context, pg_catalog.min(r.seq) FILTER (WHERE r.event <> 't') AS first_seq,
                           pg_catalog.min(r.at) AS started, pg_catalog.max(r.at) FILTER (WHERE r.event = 'd') AS ended,
                           pg_catalog.count(*) FILTER (WHERE r.event = 's') AS statements,
                           pg_catalog.count(*) FILTER (WHERE r.outcome = 'b') AS refused,
                           pg_catalog.count(*) FILTER (WHERE r.outcome = 'f' AND r.event IN ('s', 't')
                                                         AND r.last_statement_no IS NULL) AS failed,
                           pg_catalog.max(r.at) FILTER (WHERE r.event = 's') AS last_statement_at,
                           pg_catalog.max(r.statement) FILTER (WHERE r.event = 'c') AS connect_text,
                           pg_catalog.max(r.shape) FILTER (WHERE r.event = 'c') AS connect_shape,
                           pg_catalog.count(*) FILTER (WHERE r.event IN ('s', 'c', 'd')) AS own
                      FROM warden.audit_record r
                     GROUP BY r.session, r.context) p
              LEFT JOIN warden.audit_context k ON k.id = p.context
             GROUP BY p.session
            HAVING pg_catalog.sum(p.own) > 0) t
      LEFT JOIN warden.audit_context c ON c.id = t.context
      LEFT JOIN warden.audit_shape s ON s.id = t.connect_shape;
COMMENT ON VIEW warden.sessions IS
'A row per session in the audit: who, from where, from when to when, and how many statements ran, were refused, failed';

GRANT SELECT ON warden.sessions TO warden_auditor;

CREATE FUNCTION warden.replay(session text, OUT at timestamptz, OUT depth int, OUT statement text, OUT rows bigint,
                              OUT duration_ms double precision, OUT decision text, OUT outcome text)
    RETURNS SETOF record LANGUAGE sql STABLE AS $$
    WITH RECURSIVE own AS MATERIALIZED (
        SELECT l.seq, l.at, l.statement_no, l.parent_no, l.statement, l.rows, l.duration_ms, l.decision, l.outcome
          FROM warden.audit_log l
         WHERE l.session OPERATOR(pg_catalog.=) warden.session_number(replay.session)
           AND l.event OPERATOR(pg_catalog.=) 'statement'
           -- earlier days need not be looked at; a day for clocks that were set back
           AND l.at OPERATOR(pg_catalog.>=) (pg_catalog.to_timestamp((warden.session_number(replay.session)
                   OPERATOR(pg_catalog.>>) 22)::double precision) OPERATOR(pg_catalog.-) interval '1 day')),
    -- a parent that was not recorded leaves its children on top
    tree AS (
        SELECT o.statement_no, 0 AS depth FROM own o
          LEFT JOIN own p ON p.statement_no OPERATOR(pg_catalog.=) o.parent_no
         WHERE p.statement_no IS NULL
        UNION ALL
        SELECT o.statement_no, t.depth OPERATOR(pg_catalog.+) 1
          FROM tree t JOIN own o ON o.parent_no OPERATOR(pg_catalog.=) t.statement_no)
    SELECT o.at, COALESCE(t.depth, 0), o.statement, o.rows, o.duration_ms, o.decision, o.outcome
      FROM own o LEFT JOIN tree t ON t.statement_no OPERATOR(pg_catalog.=) o.statement_no
     ORDER BY o.seq
$$;
COMMENT ON FUNCTION warden.replay IS
'What a session did, in order: its statements, those inside of others by depth, with rows, duration, decision and outcome';

CREATE FUNCTION warden.retain(keep interval) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_retain';
COMMENT ON FUNCTION warden.retain IS
'Drops the partitions of the audit whose day was over before that long ago, at least a day; returns how many. It is recorded, '
'and their hashes are kept: what remains still verifies';

CREATE FUNCTION warden.status(OUT name text, OUT value text, OUT healthy boolean) RETURNS SETOF record
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_status';
COMMENT ON FUNCTION warden.status IS 'The state of pg_warden in this database: mode, audit writer, backlog, gaps; healthy tells where to look';

CREATE FUNCTION warden.flush(timeout interval DEFAULT '10 seconds') RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'warden_sql_flush';
COMMENT ON FUNCTION warden.flush IS
'Waits until everything recorded so far is in the audit table, and returns the last seq; fails after timeout';

CREATE FUNCTION warden.verify_audit(expected_digest text DEFAULT NULL, OUT ok boolean, OUT records bigint,
                                    OUT first_bad_seq bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_verify_audit';
COMMENT ON FUNCTION warden.verify_audit IS
'Recomputes the hash chain over the whole audit and names the first record that was altered, lost, doubled or moved, and '
'what is wrong with it. With a digest that warden.audit_digest() gave earlier, finds a chain rewritten since, too';

CREATE FUNCTION warden.audit_digest() RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_audit_digest';
COMMENT ON FUNCTION warden.audit_digest IS
'What the audit comes to: records, time range, last seq and head of the hash chain, and whose it is; keep it outside '
'of this server';

-- Rows of these tables change by pg_warden's own functions and its writer alone. Guards see statements; these triggers
-- see what is no statement, such as rows that come by logical replication.
CREATE FUNCTION warden.protect_rows() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'warden_sql_protect_rows';
COMMENT ON FUNCTION warden.protect_rows IS 'Refuses changes of policy and audit rows that pg_warden does not make itself';

DO $$
DECLARE
    own text;
BEGIN
    FOREACH own IN ARRAY ARRAY['guard_policy', 'mask_policy', 'label_mask_policy', 'exemption_policy', 'label_policy',
                               'secret_policy', 'audit_context', 'audit_shape', 'audit_record',
                               'audit_chain', 'audit_retained', 'audit_loose'] LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON warden.%I '
                                  'FOR EACH ROW EXECUTE FUNCTION warden.protect_rows()', own);
        EXECUTE pg_catalog.format('CREATE TRIGGER protect_table BEFORE TRUNCATE ON warden.%I '
                                  'FOR EACH STATEMENT EXECUTE FUNCTION warden.protect_rows()', own);
        EXECUTE pg_catalog.format('ALTER TABLE warden.%I ENABLE ALWAYS TRIGGER protect_rows, '
                                  'ENABLE ALWAYS TRIGGER protect_table', own);
    END LOOP;
END
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Break-glass
-- ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION warden.break_glass(reason text, duration interval DEFAULT '15 minutes') RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_break_glass';
COMMENT ON FUNCTION warden.break_glass IS
'Lifts all guards, and self-protection but for the audit, from this session for a while; recorded before it takes effect';

CREATE FUNCTION warden.break_glass_end() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'warden_sql_break_glass_end';
COMMENT ON FUNCTION warden.break_glass_end IS 'Ends break-glass in this session before its time';

-- ---------------------------------------------------------------------------------------------------------------
-- Privileges: policies by warden_admin, the audit by warden_auditor, the rest by everyone
-- ---------------------------------------------------------------------------------------------------------------

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA warden FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    warden.guard(text, text, text[], text[], text[], text[], cidr[], text, bigint, text[], int, text, int),
    warden.unguard(text), warden.mask(text, text, jsonb), warden.unmask(text),
    warden.exempt(text[], text[], timestamptz, text), warden.revoke_exemption(bigint),
    warden.check_masks(name), warden.label(text, text), warden.unlabel(text, text), warden.rotate_secret(),
    warden.break_glass(text, interval), warden.break_glass_end(), warden.status(), warden.audit_digest(),
    warden.retain(interval)
    TO warden_admin;
GRANT EXECUTE ON FUNCTION warden.status(), warden.verify_audit(text), warden.audit_digest(), warden.session_number(text),
    warden.replay(text) TO warden_auditor;
-- A view's functions are checked against who reads the view.
DO $$
DECLARE
    mask regprocedure;
BEGIN
    FOR mask IN SELECT oid FROM pg_catalog.pg_proc
                 WHERE pronamespace = 'warden'::regnamespace AND proname LIKE 'mask\_%' LOOP
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', mask);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION warden.statement_tags(text), warden.flush(interval), warden.explain(text, name)
    TO PUBLIC;
