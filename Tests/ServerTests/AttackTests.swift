import Testing

/// Roads that penetration tests found open, kept shut. Each was once a leak, a way around a guard, or a crash.
extension ServerTests {
  @Suite struct AttackTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "attacks")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }

    /// What the analyst says, and where it then looks for what it got. An error is as good as a mask.
    struct Attack: CustomTestStringConvertible, Sendable {
      let title: String
      let steps: [String]
      var testDescription: String { title }

      init(_ title: String, _ steps: String...) {
        self.title = title
        self.steps = steps
      }
    }

    private static let steal = "(SELECT string_agg(email, ',') FROM shop.customers)"

    static let attacks = [
      Attack(
        "trigger inside a foreign key's cascade",
        "CREATE TABLE lab.parent (id int PRIMARY KEY); CREATE TABLE lab.loot (x text)",
        "CREATE TABLE lab.child (id int REFERENCES lab.parent ON DELETE CASCADE)",
        """
        CREATE FUNCTION lab.tg() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO lab.loot VALUES (\(steal)); RETURN OLD; END$$
        """,
        "CREATE TRIGGER tg BEFORE DELETE ON lab.child FOR EACH ROW EXECUTE FUNCTION lab.tg()",
        "INSERT INTO lab.parent VALUES (1); INSERT INTO lab.child VALUES (1)",
        "DELETE FROM lab.parent WHERE id = 1", "SELECT * FROM lab.loot"),
      Attack(
        "function in a parallel worker",
        """
        CREATE FUNCTION lab.pf() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS
        $$BEGIN RETURN \(steal); END$$
        """,
        "SET force_parallel_mode = on", "SELECT lab.pf() FROM shop.parcels"),
      Attack(
        "trigger on the masked table itself",
        """
        CREATE FUNCTION lab.tg() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION '%', OLD.email; END$$
        """,
        "CREATE TRIGGER tg BEFORE UPDATE ON shop.customers FOR EACH ROW EXECUTE FUNCTION lab.tg()",
        "UPDATE shop.customers SET city = 'x' WHERE id = 1"),
      Attack("system column under FOR UPDATE", "SELECT ctid, email FROM shop.customers ORDER BY id LIMIT 1 FOR UPDATE"),
      Attack("whole row and system column", "SELECT c, c.ctid, c.xmin FROM shop.customers c FOR SHARE"),
      Attack("row text of system columns", "CREATE TABLE lab.x AS SELECT ctid::text AS t, email FROM shop.customers"),
      Attack("statistics by COPY", "COPY pg_statistic TO STDOUT"),
      Attack("statistics", "SELECT most_common_vals FROM pg_stats WHERE schemaname = 'shop'"),
      Attack("mask function with a value of one's own", "SELECT warden.mask_email('RAWMARK@raw.example')"),
      Attack(
        "upsert",
        "INSERT INTO shop.customers (id, city) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = excluded.city "
          + "RETURNING email"),
    ]

    @Test(arguments: attacks) func nothingRawIsSeen(_ attack: Attack) throws {
      let analyst = try shop.connect("analyst")
      for step in attack.steps {
        do {
          let seen = try analyst.query(step)
          #expect(!seen.text.contains(Shop.mark) && !seen.copied.contains(Shop.mark), "\(step)")
        } catch let error as ServerError {
          #expect(!error.text.contains(Shop.mark), "\(step): \(error.text)")
        }
      }
      #expect(try shop.admin.query("SELECT 1").value == "1", "the server is there")
    }

    @Test func refreshByASuperuserShowsTheOwnerNoMore() throws {
      try shop.connect("analyst").query("CREATE MATERIALIZED VIEW lab.mv AS SELECT email FROM shop.customers")
      try shop.admin.query("REFRESH MATERIALIZED VIEW lab.mv")
      let seen = try shop.admin.query("SELECT * FROM lab.mv").text
      #expect(!seen.contains(Shop.mark) && seen.contains(Shop.maskedEmail))
    }

    @Test func tablesOfLikeNamesDoNotShareAView() throws {
      try shop.admin.query(
        """
        DROP SCHEMA IF EXISTS a, a__b; CREATE SCHEMA a; CREATE SCHEMA a__b;
        CREATE TABLE a.b__c AS SELECT 'RAWMARK' AS x; CREATE TABLE a__b.c AS SELECT 'RAWMARK' AS y;
        GRANT USAGE ON SCHEMA a, a__b TO analyst; GRANT SELECT ON a.b__c, a__b.c TO analyst;
        SELECT warden.mask('a.b__c.x', 'redact'); SELECT warden.mask('a__b.c.y', 'redact');
        ALTER TABLE a.b__c ADD z int;
        """)
      let analyst = try shop.connect("analyst")
      #expect(try analyst.query("SELECT x FROM a.b__c").value == "[redacted]")
      #expect(try analyst.query("SELECT y FROM a__b.c").value == "[redacted]")
    }

    @Test func maskDefinitionRunsNoCodeAsSuperuser() throws {
      try shop.admin.query("ALTER SCHEMA lab OWNER TO analyst")
      try shop.connect("analyst").query(
        """
        CREATE TABLE lab.log (who text);
        CREATE FUNCTION lab.spy(text) RETURNS boolean LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO lab.log VALUES (current_user); RETURN true; END$$;
        CREATE DOMAIN lab.d AS text CHECK (lab.spy(value)); CREATE TABLE lab.trap (e lab.d);
        """)
      _ = try shop.connect("policy_admin").error("SELECT warden.mask('lab.trap.e', 'redact')")
      #expect(try shop.admin.query("SELECT count(*) FROM lab.log WHERE who = 'postgres'").value == "0")
    }

    @Test func childrenAreMaskedThroughTheirParentsOnly() throws {
      let error = shop.admin.error("SELECT warden.mask('shop.events_january.email', 'email')")
      #expect(error?.sqlstate == "22023")
      try shop.connect("shop_owner").query("ALTER TABLE shop.events DETACH PARTITION shop.events_january")
      let seen = try shop.connect("analyst").query("SELECT email FROM shop.events_january").text
      #expect(!seen.contains(Shop.mark) && seen.contains(Shop.maskedEmail))
    }

    @Test func maskedTableCannotBecomeAChild() throws {
      let owner = try shop.connect("shop_owner")
      try owner.query("CREATE TABLE shop.base (id int, email text); GRANT SELECT ON shop.base TO analyst")
      try owner.query("CREATE TABLE shop.kid (id int, email text)")
      try shop.admin.query("SELECT warden.mask('shop.kid.email', 'redact')")
      #expect(owner.error("ALTER TABLE shop.kid INHERIT shop.base")?.sqlstate == "55000")
    }

    /// Code of users does not run inside pg_warden's own work.
    @Test func eventTriggersDoNotSeeOurWork() throws {
      try shop.admin.query(
        """
        CREATE FUNCTION lab.et() RETURNS event_trigger LANGUAGE plpgsql AS
        $$BEGIN IF tg_tag = 'CREATE VIEW' THEN RAISE EXCEPTION 'seen'; END IF; END$$;
        CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION lab.et();
        """)
      defer { _ = try? shop.admin.query("ALTER EVENT TRIGGER et DISABLE; ALTER EVENT TRIGGER et RENAME TO et_off") }
      try shop.admin.query("SELECT warden.mask('shop.customers.city', 'redact')")
      #expect(shop.admin.error("CREATE VIEW lab.v AS SELECT 1")?.message == "seen")
    }

    @Test(arguments: [
      "ALTER TABLE shop.parcels SET SCHEMA warden", "CREATE TABLE lab.x () INHERITS (warden.audit_chain)",
      "CREATE TABLE lab.x PARTITION OF warden.audit_record FOR VALUES FROM ('2099-01-01') TO ('2099-01-02')",
      "LOCK TABLE warden.audit_chain IN ACCESS EXCLUSIVE MODE", "SELECT * FROM warden.audit_chain FOR UPDATE",
      "ALTER TABLE pg_catalog.pg_extension RENAME TO zz", "DELETE FROM pg_catalog.pg_extension WHERE extname = 'x'",
      "GRANT EXECUTE ON FUNCTION warden.unguard(text) TO analyst", "GRANT ALL ON warden.guard_policy TO analyst",
      "REVOKE EXECUTE ON FUNCTION warden.guard FROM warden_admin",
    ])
    func superuserIsRefused(_ sql: String) throws {
      let superuser = try shop.connect()
      try superuser.query("SET allow_system_table_mods = on; BEGIN")
      try shop.expectRefusal(of: sql, by: "self-protection", on: superuser, thenRollBack: true)
    }

    @Test(arguments: [
      "CREATE FUNCTION lab.rf(text) RETURNS text LANGUAGE internal STRICT AS 'pg_read_file_all'",
      "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)",
    ])
    func waysOutOfTheServerAreRefused(_ sql: String) throws {
      try shop.expectRefusal(of: sql, by: "server-escape", on: try shop.connect())
    }

    /// Another database of the cluster, without the extension, is no way to switch governance off.
    @Test(arguments: [
      "ALTER SYSTEM SET warden.mode = 'off'", "ALTER SYSTEM RESET ALL",
      "ALTER SYSTEM SET shared_preload_libraries = ''", "DROP DATABASE attacks WITH (FORCE)",
    ])
    func ungovernedDatabaseIsNoWayAround(_ sql: String) throws {
      let error = try shop.cluster.connect().error(sql)
      #expect(error?.sqlstate == "42501" && error?.detail.contains("self-protection") == true, "\(sql)")
    }

    @Test func governedDatabaseCanBeATemplate() throws {
      try shop.admin.query("SELECT warden.flush()")
      let database = "attacks_\(UInt32.random(in: 0...UInt32.max))"
      try shop.cluster.connect().query("CREATE DATABASE \(database)_source")
      do {
        let source = try shop.cluster.connect(database: "\(database)_source")
        try source.query("CREATE EXTENSION pg_warden")
        try source.query("SELECT warden.flush()")
      }
      try waitUntil("the copy is made") {
        try shop.cluster.connect().error("CREATE DATABASE \(database) TEMPLATE \(database)_source") == nil
      }
      let copy = try shop.cluster.connect(database: database)
      try copy.query("SELECT warden.flush()")
      #expect(try copy.query("SELECT ok FROM warden.verify_audit()").value == "t")
    }
  }
}
