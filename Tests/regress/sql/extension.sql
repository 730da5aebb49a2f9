-- What CREATE EXTENSION makes: what users rely on by name.
CREATE EXTENSION pg_warden;
SELECT extversion, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_warden';

\echo -- relations
SELECT n.nspname AS schema, relname AS name, relkind AS kind
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname LIKE 'warden%' AND relkind IN ('r', 'v', 'p') AND NOT relispartition
 ORDER BY 1, 2;

\echo -- functions, and who may call them
SELECT p.oid::regprocedure AS function, provolatile AS volatility,
       obj_description(p.oid, 'pg_proc') IS NOT NULL AS explained,
       (SELECT string_agg(r, ' ' ORDER BY r) FROM unnest(ARRAY['public', 'warden_admin', 'warden_auditor']) r
         WHERE has_function_privilege(r::name, p.oid, 'EXECUTE')) AS callable_by
  FROM pg_proc p WHERE pronamespace = 'warden'::regnamespace ORDER BY p.oid::regprocedure::text;

\echo -- columns that checks rely on
SELECT table_name, string_agg(column_name, ' ' ORDER BY ordinal_position) AS columns
  FROM information_schema.columns WHERE table_schema = 'warden' AND table_name IN ('guards', 'masks', 'exemptions', 'labels', 'audit_log', 'audit_access')
 GROUP BY 1 ORDER BY 1;

\echo -- roles
SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname LIKE 'warden%' ORDER BY 1;

\echo -- built-in guards
SELECT name, action, statements, objects, subjects, environments, priority FROM warden.guards ORDER BY name;

\echo -- settings
SELECT name, setting FROM pg_settings WHERE name LIKE 'warden.%' ORDER BY 1;
