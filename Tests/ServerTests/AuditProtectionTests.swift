import Foundation
import Testing

extension ServerTests {
  /// Games that a superuser plays with the audit, under break-glass: each is refused by self-protection, or harmless.
  @Suite struct AuditProtectionTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "games")
    }
    let shop: Shop
    /// Today's partition of the audit.
    let partition: String

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      let found = try shop.admin.query(
        "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'warden.audit_record'::regclass")
      partition = try #require(found.value)
      try shop.admin.query("CREATE TABLE lab.mine (a int); INSERT INTO lab.mine VALUES (1)")
    }

    /// A superuser's session with everything lifted that can be.
    private func player(_ setUp: String = "") throws -> Connection {
      let superuser = try shop.connect()
      try superuser.query("SELECT warden.break_glass('games with the audit')")
      try superuser.query("SET allow_system_table_mods = on; SET session_replication_role = replica")
      if !setUp.isEmpty { try superuser.query(setUp) }
      return superuser
    }

    private func expectUntouched(_ digest: String?, sourceLocation: SourceLocation = #_sourceLocation) throws {
      try shop.expectUnbrokenChain(sourceLocation: sourceLocation)
      let verdict = try shop.admin.query("SELECT ok, problem FROM warden.verify_audit($1)", digest)
      #expect(verdict.rows.first?.first == "t", "\(verdict.text)", sourceLocation: sourceLocation)
    }

    static let refused = [
      // Rows
      "DELETE FROM warden.audit_record", "DELETE FROM PARTITION WHERE seq = 1",
      "UPDATE PARTITION SET error = 'x' WHERE seq = 1", "UPDATE warden.audit_shape SET class = 'x' WHERE id = 1",
      "UPDATE warden.audit_context SET role_name = 'x' WHERE id = 1", "UPDATE warden.audit_chain SET last_seq = 1",
      "INSERT INTO warden.audit_chain SELECT * FROM warden.audit_chain", "COPY PARTITION FROM STDIN",
      "COPY warden.audit_record FROM STDIN",
      "WITH d AS (DELETE FROM warden.audit_chain RETURNING *) SELECT * FROM d",
      "MERGE INTO warden.audit_chain c USING lab.mine ON true WHEN MATCHED THEN DELETE",
      "DO $$BEGIN EXECUTE 'DELETE FROM warden.'||'audit_record'; END$$", "TRUNCATE PARTITION",
      "TRUNCATE lab.mine, warden.audit_record",
      // Tables
      "ALTER TABLE PARTITION DISABLE TRIGGER ALL", "ALTER TABLE PARTITION DISABLE TRIGGER protect_rows",
      "ALTER TABLE warden.audit_record DISABLE TRIGGER ALL", "DROP TRIGGER protect_rows ON warden.audit_record",
      "ALTER TRIGGER protect_rows ON warden.audit_chain RENAME TO x", "ALTER TABLE PARTITION ADD COLUMN x int",
      "ALTER TABLE PARTITION DROP COLUMN error", "ALTER TABLE PARTITION ALTER COLUMN error TYPE varchar",
      "ALTER TABLE warden.audit_record ALTER COLUMN error SET DEFAULT 'x'",
      "ALTER TABLE PARTITION SET (fillfactor = 50)",
      "ALTER TABLE PARTITION SET UNLOGGED", "ALTER TABLE PARTITION SET TABLESPACE pg_default",
      "ALTER TABLE PARTITION ADD CONSTRAINT c CHECK (false) NOT VALID",
      "ALTER TABLE PARTITION ADD CONSTRAINT c CHECK (hashtext(error) > 0) NOT VALID",
      "ALTER TABLE PARTITION ENABLE ROW LEVEL SECURITY", "ALTER TABLE warden.audit_record FORCE ROW LEVEL SECURITY",
      "ALTER TABLE warden.audit_chain ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON PARTITION USING (false)",
      "ALTER TABLE PARTITION RENAME TO x", "ALTER TABLE warden.audit_record RENAME COLUMN error TO x",
      "ALTER TABLE warden.audit_record SET SCHEMA public", "ALTER TABLE PARTITION OWNER TO analyst",
      "ALTER TABLE PARTITION REPLICA IDENTITY FULL", "ALTER TABLE PARTITION CLUSTER ON audit_context_pkey",
      "DROP TABLE PARTITION", "DROP TABLE warden.audit_record CASCADE", "DROP INDEX warden.audit_record_seq",
      "ALTER INDEX warden.audit_record_seq RENAME TO x", "CREATE STATISTICS lab.s ON seq, at FROM PARTITION",
      "LOCK TABLE warden.audit_record IN ACCESS EXCLUSIVE MODE",
      // Partitions and inheritance
      "ALTER TABLE warden.audit_record DETACH PARTITION PARTITION",
      "ALTER TABLE warden.audit_record ATTACH PARTITION lab.alike FOR VALUES FROM ('1999-01-01') TO ('1999-01-02')",
      "CREATE TABLE lab.x PARTITION OF warden.audit_record FOR VALUES FROM ('1999-01-01') TO ('1999-01-02')",
      "CREATE TABLE lab.x () INHERITS (warden.audit_chain)", "ALTER TABLE lab.mine INHERIT warden.audit_chain",
      "ALTER TABLE PARTITION INHERIT lab.mine", "ALTER TABLE PARTITION NO INHERIT warden.audit_record",
      "CREATE TABLE warden.audit_record_20990101 (a int)",
      // Code that the writer, or a reader, would run
      "CREATE TRIGGER t BEFORE INSERT ON PARTITION FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
      "CREATE RULE r AS ON INSERT TO warden.audit_chain DO NOTHING", "CREATE INDEX ON PARTITION ((hashtext(error)))",
      "CREATE INDEX ON warden.audit_record (seq)",
      "CREATE FUNCTION pg_catalog.evil(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
      """
      CREATE OR REPLACE FUNCTION pg_catalog.byteaeq(bytea, bytea) RETURNS boolean LANGUAGE sql
      IMMUTABLE STRICT AS 'SELECT false'
      """,
      "SET search_path = pg_catalog; CREATE FUNCTION evil(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "SET search_path = warden; CREATE FUNCTION evil(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE OPERATOR pg_catalog.* (LEFTARG = numeric, RIGHTARG = int, PROCEDURE = lab.times)",
      "ALTER FUNCTION pg_catalog.byteaeq(bytea, bytea) RENAME TO x", "CREATE TYPE warden.x AS (a int)",
      "CREATE DOMAIN warden.d AS int", "CREATE OPERATOR warden.@@@ (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4eq)",
      "CREATE COLLATION warden.c FROM \"C\"", "CREATE AGGREGATE warden.a (int) (SFUNC = int4pl, STYPE = int)",
      // Membership, privileges, names
      "ALTER EXTENSION pg_warden DROP TABLE warden.audit_record", "ALTER EXTENSION pg_warden DROP TABLE PARTITION",
      "ALTER EXTENSION pg_warden DROP FUNCTION warden.protect_rows()", "DROP SCHEMA warden CASCADE",
      "ALTER SCHEMA warden RENAME TO x", "GRANT SELECT ON PARTITION TO PUBLIC",
      "GRANT ALL ON warden.audit_record TO PUBLIC", "GRANT SELECT ON ALL TABLES IN SCHEMA warden TO PUBLIC",
      "GRANT SELECT ON warden.audit_log TO PUBLIC", "REVOKE ALL ON warden.audit_log FROM warden_auditor",
      "CREATE OR REPLACE VIEW warden.audit_log AS SELECT 1 AS seq",
      "ALTER VIEW warden.audit_log SET (security_barrier)",
      "DROP VIEW warden.audit_access", "LOCK TABLE warden.audit_log",
      "CREATE PUBLICATION p FOR TABLE warden.audit_record", "CREATE PUBLICATION p FOR TABLES IN SCHEMA warden",
      // Catalogs, by hand
      "DELETE FROM pg_class WHERE oid = 'PARTITION'::regclass",
      "UPDATE pg_class SET relnamespace = 'public'::regnamespace WHERE oid = 'PARTITION'::regclass",
      "UPDATE pg_class SET relrowsecurity = true WHERE oid = 'PARTITION'::regclass",
      "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'PARTITION'::regclass",
      "DELETE FROM pg_trigger WHERE tgrelid = 'PARTITION'::regclass",
      "DELETE FROM pg_depend WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_warden')",
      "DELETE FROM pg_inherits WHERE inhrelid = 'PARTITION'::regclass",
      "UPDATE pg_extension SET extname = 'x' WHERE extname = 'pg_warden'",
      "UPDATE pg_namespace SET nspname = 'x' WHERE nspname = 'warden'",
      "UPDATE pg_proc SET prosrc = 'now' WHERE proname = 'protect_rows'",
      "UPDATE pg_authid SET rolname = 'x' WHERE rolname = 'warden_auditor'",
    ]

    /// What some of the games need; tables of the player's own.
    private static let props = """
      CREATE FUNCTION lab.times(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT 0.0';
      CREATE TABLE lab.alike (LIKE warden.audit_record)
      """

    @Test(arguments: refused) func gameIsRefused(_ game: String) throws {
      let digest = try shop.admin.query("SELECT warden.audit_digest()").value
      let superuser = try player(Self.props)
      try superuser.query("BEGIN")
      try shop.expectRefusal(
        of: game.replacingPartition(with: partition), by: "self-protection", on: superuser, thenRollBack: true)
      try expectUntouched(digest)
    }

    /// Where a game is not what it seems: the statement that gives it away comes later.
    static let indirect = [
      ("CREATE VIEW lab.v AS SELECT * FROM warden.audit_chain", "UPDATE lab.v SET last_seq = 1"),
      ("CREATE VIEW lab.v AS SELECT * FROM warden.audit_chain", "DELETE FROM lab.v WHERE singleton"),
      (
        "CREATE FUNCTION lab.f() RETURNS void LANGUAGE sql AS 'DELETE FROM warden.audit_record WHERE seq = 1'",
        "SELECT lab.f()"
      ),
      (
        """
        CREATE FUNCTION lab.f() RETURNS void LANGUAGE sql SECURITY DEFINER SET session_replication_role = replica
        AS 'UPDATE warden.audit_record SET error = NULL WHERE seq = 1'
        """, "SELECT lab.f()"
      ),
      (
        """
        CREATE RULE r AS ON INSERT TO lab.mine DO ALSO DELETE FROM warden.audit_record WHERE seq = 1;
        ALTER TABLE lab.mine ENABLE ALWAYS RULE r
        """,
        "INSERT INTO lab.mine VALUES (2)"
      ),
      ("PREPARE p AS DELETE FROM warden.audit_record WHERE seq = 1", "EXECUTE p"),
      (
        """
        CREATE FUNCTION lab.t() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN DELETE FROM warden.audit_record WHERE seq = 1; RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON lab.mine FOR EACH ROW EXECUTE FUNCTION lab.t();
        ALTER TABLE lab.mine ENABLE ALWAYS TRIGGER t
        """, "INSERT INTO lab.mine VALUES (2)"
      ),
      (
        "CREATE SCHEMA shadow; CREATE TABLE shadow.audit_record (a int); SET search_path = warden",
        "DELETE FROM audit_record"
      ),
      ("CREATE VIEW lab.v AS SELECT * FROM warden.audit_record", "LOCK TABLE lab.v"),
      ("CREATE VIEW lab.v AS SELECT 1 WHERE EXISTS (SELECT FROM warden.audit_record)", "LOCK TABLE lab.v"),
      ("CREATE VIEW lab.v AS SELECT * FROM (SELECT * FROM warden.audit_chain OFFSET 0) x", "LOCK TABLE lab.v"),
    ]

    @Test(arguments: indirect) func indirectGameIsRefused(_ setUp: String, _ game: String) throws {
      let digest = try shop.admin.query("SELECT warden.audit_digest()").value
      let superuser = try player("BEGIN; \(setUp); SAVEPOINT s")
      try shop.expectRefusal(of: game, by: "self-protection", on: superuser, thenRollBack: true)
      try expectUntouched(digest)
    }

    /// Allowed, and without effect on the audit: the writer goes on, what is there stays, nobody else gets to see it.
    static let harmless = [
      "REINDEX TABLE PARTITION", "REINDEX TABLE CONCURRENTLY PARTITION", "REINDEX SCHEMA warden",
      "VACUUM warden.audit_record",
      "VACUUM (FREEZE) PARTITION", "ANALYZE warden.audit_record", "COMMENT ON TABLE PARTITION IS 'x'", "CLUSTER",
      "CREATE PUBLICATION everything FOR ALL TABLES", "CREATE CAST (bytea AS bigint) WITH INOUT",
      "SELECT pg_replication_origin_create('games'); SELECT pg_replication_origin_session_setup('games')",
      "ALTER DATABASE games SET default_transaction_read_only = on",
      "ALTER DATABASE games SET session_replication_role = replica",
      "ALTER DATABASE games SET default_table_access_method = 'nonsense_that_is_not_there'",
      "ALTER DATABASE games SET search_path = lab", "ALTER DATABASE games SET row_security = off",
      "ALTER DATABASE games SET statement_timeout = '1ms'", "ALTER DATABASE games SET lock_timeout = '1ms'",
      "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
      "ALTER DEFAULT PRIVILEGES IN SCHEMA warden GRANT ALL ON TABLES TO PUBLIC",
      """
      CREATE FUNCTION lab.spoil() RETURNS event_trigger LANGUAGE plpgsql AS
      'BEGIN IF current_setting(''application_name'') LIKE ''%writer%'' THEN RAISE ''spoilt''; END IF; END';
      CREATE EVENT TRIGGER spoil ON ddl_command_start EXECUTE FUNCTION lab.spoil();
      ALTER EVENT TRIGGER spoil ENABLE ALWAYS
      """,
    ]

    @Test(arguments: harmless) func gameIsHarmless(_ game: String) throws {
      let digest = try shop.admin.query("SELECT warden.audit_digest()").value
      let superuser = try player()
      let sql = game.replacingPartition(with: partition)
      // Each by itself: some may not run in a transaction, which several in one message are.
      for statement in sql.contains("event_trigger") ? [sql] : sql.components(separatedBy: "; ") {
        _ = superuser.error(statement)
      }
      // A writer that starts under it.
      try shop.admin.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_warden writer' AND datname = 'games'"
      )
      try shop.connect("shop_owner", options: "-c statement_timeout=60s -c lock_timeout=0").query(
        "SELECT 'while it lasts'")
      #expect(try shop.record(of: "while it lasts")["outcome"] == "committed")
      try expectUntouched(digest)
      try cleanUp(superuser)
    }

    private func cleanUp(_ superuser: Connection) throws {
      for statement in [
        "SET statement_timeout = 0", "ALTER DATABASE games RESET ALL", "DROP PUBLICATION IF EXISTS everything",
        "DROP CAST IF EXISTS (bytea AS bigint)", "DROP EVENT TRIGGER IF EXISTS spoil",
        "SELECT pg_replication_origin_session_reset()", "SELECT pg_replication_origin_drop('games')",
        "ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA warden REVOKE ALL ON TABLES FROM PUBLIC",
      ] {
        _ = superuser.error(statement)
      }
    }

    /// A partition made tomorrow is as closed as the one of today.
    @Test func defaultPrivilegesDoNotOpenNewPartitions() throws {
      let shop = try Shop(Clusters.governed(), database: "games_privileges")
      let superuser = try shop.connect()
      try superuser.query("SELECT warden.break_glass('default privileges')")
      try superuser.query("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO analyst, PUBLIC")
      try shop.refill()
      _ = try shop.audit()
      let open = """
        SELECT count(*) FROM pg_class c WHERE relnamespace = 'warden'::regnamespace AND relname LIKE 'audit\\_record\\_%'
           AND relkind = 'r' AND has_table_privilege('analyst', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
        """
      #expect(try shop.admin.query(open).value == "0")
      try superuser.query("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM analyst, PUBLIC")
    }

    @Test func readingTheAuditIsRecordedAndNotForEverybody() throws {
      try shop.connect("auditor").query("SELECT count(*) AS read_by_auditor FROM warden.audit_log")
      let number = try #require(try shop.record(of: "read_by_auditor")["seq"])
      let touched = try shop.admin.query("SELECT relation, action FROM warden.audit_access WHERE seq = \(number)")
      #expect(touched.rows.contains(["warden.audit_record", "read"]), "\(touched.text)")
      for role in ["shop_owner", "analyst", "clerk"] {
        for relation in [
          "warden.audit_log", "warden.audit_access", "warden.audit_record", partition, "warden.audit_chain",
        ] {
          #expect(
            try shop.connect(role).error("SELECT * FROM \(relation) LIMIT 1")?.sqlstate == "42501",
            "\(role) \(relation)")
        }
      }
    }
  }
}

extension String {
  /// PARTITION as a table's name, and not as the key word before it.
  fileprivate func replacingPartition(with name: String) -> String {
    var words = components(separatedBy: "PARTITION")
    guard words.count > 1 else { return self }
    var result = words.removeFirst()
    for word in words {
      let isKeyWord = result.hasSuffix("ATTACH ") || result.hasSuffix("DETACH ") || word.hasPrefix(" OF ")
      result += (isKeyWord ? "PARTITION" : name) + word
    }
    return result
  }
}
