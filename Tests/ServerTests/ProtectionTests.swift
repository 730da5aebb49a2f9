import Testing

extension ServerTests {
  /// Self-protection: policies change by pg_warden's functions only, audit data not at all.
  @Suite struct ProtectionTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "protection")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    static let attempts = [
      "INSERT INTO warden.guard_policy (name) VALUES ('x')",
      "UPDATE warden.guard_policy SET action = 'allow' WHERE name = 'destructive-ddl'",
      "DELETE FROM warden.guard_policy WHERE name = 'destructive-ddl'",
      "DELETE FROM warden.guard_policy",
      "WITH d AS (DELETE FROM warden.guard_policy WHERE builtin RETURNING *) SELECT * FROM d",
      "TRUNCATE warden.guard_policy",
      "DROP TABLE warden.guard_policy CASCADE",
      "ALTER TABLE warden.guard_policy ADD x int",
      "ALTER TABLE warden.guard_policy DISABLE TRIGGER ALL",
      "CREATE TRIGGER t BEFORE INSERT ON warden.mask_policy EXECUTE FUNCTION suppress_redundant_updates_trigger()",
      "CREATE RULE r AS ON INSERT TO warden.mask_policy DO INSTEAD NOTHING",
      "INSERT INTO warden.mask_policy VALUES ('shop.orders', 1, 'id', 'null', '{}', 'NULL')",
      "DELETE FROM warden.exemption_policy WHERE id = 0",
      "ALTER VIEW warden.audit_log RENAME TO other_log",
      """
      CREATE OR REPLACE VIEW warden.exemptions AS
      SELECT id, subjects, targets, until, reason, made_by, made_at, false AS active FROM warden.exemption_policy
      """,
      "DROP VIEW warden.guards",
      "CREATE OR REPLACE FUNCTION warden.unguard(name text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
      "ALTER FUNCTION warden.flush(interval) OWNER TO analyst",
      "DROP SCHEMA warden CASCADE",
      "ALTER SCHEMA warden RENAME TO elsewhere",
      "CREATE TABLE warden.mine (a int)",
      "DROP ROLE warden_admin",
      "ALTER ROLE warden_auditor RENAME TO nobody",
      "ALTER EXTENSION pg_warden DROP FUNCTION warden.flush(interval)",
      "INSERT INTO warden.audit_record (seq, at, context, session, event, hash) VALUES (0, now(), 0, 0, 'x', '')",
      "UPDATE warden.audit_record SET statement = 'nothing' WHERE seq = 1",
      "DELETE FROM warden.audit_record WHERE seq = 1",
      "UPDATE warden.audit_chain SET last_seq = 0",
      "TRUNCATE warden.audit_record",
      "DROP TABLE warden.audit_record CASCADE",
      "COPY warden.audit_context FROM STDIN",
    ]

    @Test(arguments: attempts) func superuserIsRefused(_ sql: String) throws {
      let policy = "SELECT string_agg(g::text, ',' ORDER BY name) FROM warden.guard_policy g"
      let before = try shop.admin.query(policy).value
      // In a transaction, so that what wrongly succeeds does not spoil the other tests.
      let superuser = try shop.connect()
      try superuser.query("BEGIN")
      try shop.expectRefusal(of: sql, by: "self-protection", on: superuser, thenRollBack: true)
      #expect(try shop.admin.query(policy).value == before)
      #expect(try shop.admin.query("SELECT ok FROM warden.verify_audit()").value == "t")
    }

    @Test func auditPartitionIsRefusedByItsOwnName() throws {
      try shop.connect("shop_owner").query("SELECT 1")
      _ = try shop.audit()
      let partition = try #require(
        try shop.admin.query(
          "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'warden.audit_record'::regclass"
        )
        .value)
      for sql in [
        "DELETE FROM \(partition) WHERE seq = 1", "UPDATE \(partition) SET error = 'x' WHERE seq = 1",
        "TRUNCATE \(partition)", "DROP TABLE \(partition)",
        "ALTER TABLE warden.audit_record DETACH PARTITION \(partition)",
      ] {
        try shop.expectRefusal(of: sql, by: "self-protection", on: try shop.connect())
      }
    }

    @Test func auditIsRefusedUnderBreakGlassToo() throws {
      let superuser = try shop.connect()
      try superuser.query("SELECT warden.break_glass('test of the audit''s protection')")
      try shop.expectRefusal(
        of: "DELETE FROM warden.audit_record WHERE seq = 1", by: "self-protection", on: superuser)
    }

    @Test func breakGlassLiftsGuardsForOneSessionAndIsRecorded() throws {
      let superuser = try shop.connect()
      let other = try shop.connect()
      try superuser.query("SELECT warden.break_glass('disk is full')")
      try superuser.query("DROP VIEW shop.all_orders")
      try shop.expectRefusal(of: "DROP VIEW shop.large_orders", by: "destructive-ddl", sqlstate: "WD001", on: other)
      try superuser.query("SELECT warden.break_glass_end()")
      try shop.expectRefusal(of: "DROP VIEW shop.large_orders", by: "destructive-ddl", sqlstate: "WD001", on: superuser)
      let records = try shop.audit(where: "event = 'break_glass'")
      #expect(records.contains { $0.values.contains { $0.contains("disk is full") } })
    }

    static let settings = [
      "SET warden.mode = 'off'", "SET LOCAL warden.mode = 'monitor'", "SELECT set_config('warden.mode', 'off', false)",
      "UPDATE pg_settings SET setting = 'off' WHERE name = 'warden.mode'", "ALTER SYSTEM SET warden.mode = 'off'",
      "ALTER ROLE postgres SET warden.mode = 'off'", "ALTER DATABASE protection SET warden.mode = 'off'",
      "CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql SET warden.mode = 'off' AS 'SELECT 1'",
      "SET warden.audit = 'none'",
    ]

    @Test(arguments: settings) func settingsAreNotTheSessions(_ sql: String) throws {
      let superuser = try shop.connect()
      #expect(superuser.error(sql) != nil, "\(sql)")
      for session in [superuser, try shop.connect()] {
        #expect(try session.query("SHOW warden.mode").value == "enforce")
        #expect(session.error("DELETE FROM shop.orders")?.detail.contains("whole-table-dml") == true)
      }
    }

    @Test func startupOptionChangesNothing() throws {
      // Refused or ignored: both are right.
      guard let session = try? shop.connect(options: "-c warden.mode=off") else { return }
      #expect(try session.query("SHOW warden.mode").value == "enforce")
      try shop.expectRefusal(of: "DELETE FROM shop.orders", by: "whole-table-dml", on: session)
    }

    @Test func resetAllAndDiscardAllChangeNothing() throws {
      let superuser = try shop.connect()
      try superuser.query("RESET ALL")
      try superuser.query("DISCARD ALL")
      try superuser.query("SET session_replication_role = replica")
      try shop.expectRefusal(of: "DELETE FROM shop.orders", by: "whole-table-dml", on: superuser)
    }
  }
}

extension ServerTests {
  /// The extension's coming and going. Its own databases: what is dropped is dropped for good.
  @Suite struct ExtensionTests {
    @Test func withoutPreloadThereIsNoExtension() throws {
      let cluster = try Cluster([])
      let error = try cluster.connect().error("CREATE EXTENSION pg_warden")
      #expect(error?.hint.contains("shared_preload_libraries") == true, "\(error?.text ?? "no error")")
      #expect(try cluster.connect().query("SELECT to_regnamespace('warden')").value == nil)
    }

    @Test func dropNeedsBreakGlassAndLeavesNothing() throws {
      let shop = try Shop(Clusters.governed(), database: "leaving")
      try shop.refill()
      try shop.mask()
      let superuser = try shop.connect()
      try shop.expectRefusal(of: "DROP EXTENSION pg_warden CASCADE", by: "self-protection", on: superuser)
      try shop.expectRefusal(of: "DROP EXTENSION pg_warden", by: "self-protection", on: superuser)

      try superuser.query("SELECT warden.break_glass('leaving')")
      try superuser.query("DROP EXTENSION pg_warden CASCADE")
      let left = """
        SELECT count(*) FROM (
          SELECT FROM pg_extension WHERE extname = 'pg_warden'
          UNION ALL SELECT FROM pg_namespace WHERE nspname LIKE 'warden%'
          UNION ALL SELECT FROM pg_proc WHERE probin LIKE '%pg_warden%'
          UNION ALL SELECT FROM pg_class WHERE relname LIKE 'audit\\_%' OR relname = 'shop__customers') x
        """
      #expect(try superuser.query(left).value == "0")

      // Nothing is governed any more, in this session or another.
      for session in [superuser, try shop.connect()] {
        #expect(session.error("DELETE FROM shop.orders") == nil)
      }
      #expect(
        try shop.connect("analyst").query("SELECT email FROM shop.customers WHERE id = 1").text.contains(Shop.mark))
      #expect(superuser.error("DROP SCHEMA shop CASCADE") == nil)
    }

    @Test func extensionCanComeBack() throws {
      let shop = try Shop(Clusters.governed(), database: "comeback")
      let superuser = try shop.connect()
      try superuser.query("SELECT warden.break_glass('again')")
      try superuser.query("DROP EXTENSION pg_warden CASCADE; CREATE EXTENSION pg_warden")
      try shop.reconnect()
      try shop.refill()
      try shop.expectRefusal(of: "DELETE FROM shop.orders", by: "whole-table-dml", on: try shop.connect("shop_owner"))
      #expect(try shop.admin.query("SELECT ok FROM warden.verify_audit()").value == "t")
    }
  }
}
