import Foundation
import Testing

extension ServerTests {
  /// What a DBA does with any database works with a governed one: maintenance, replication, dump and restore. Tools that need
  /// more than a server are in Tests/compat.
  @Suite struct CompatibilityTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload, "wal_level = logical", "max_prepared_transactions = 4"]), database: "compat")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }

    private func expectGoverned(_ database: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws {
      let analyst = try shop.cluster.connect(role: "analyst", database: database ?? shop.database)
      let seen = try analyst.query("SELECT email FROM shop.customers WHERE id = 1").value
      #expect(seen == Shop.maskedEmail, sourceLocation: sourceLocation)
      let refused = analyst.error("DELETE FROM shop.orders")
      #expect(refused?.detail.contains("whole-table-dml") == true, sourceLocation: sourceLocation)
    }
  }
}

// MARK: - Maintenance

extension ServerTests.CompatibilityTests {
  static let maintenance = [
    "VACUUM", "VACUUM (FULL, ANALYZE) shop.customers", "VACUUM (FREEZE, PARALLEL 2) shop.events", "ANALYZE",
    "CLUSTER shop.customers USING customers_pkey", "REINDEX TABLE CONCURRENTLY shop.customers",
    "REINDEX DATABASE CONCURRENTLY compat", "REINDEX SCHEMA shop", "REINDEX INDEX CONCURRENTLY shop.customers_pkey",
    "CREATE INDEX CONCURRENTLY ON shop.customers (lower(email))",
    "CREATE STATISTICS shop.s ON name, email FROM shop.customers",
    "ALTER TABLE shop.customers ALTER age TYPE bigint", "ALTER TABLE shop.customers ADD born date DEFAULT '2000-01-01'",
    "ALTER TABLE shop.customers RENAME phone TO telephone", "ALTER TABLE shop.customers ALTER email SET STATISTICS 500",
    "ALTER TABLE shop.customers SET (fillfactor = 80)", "ALTER TABLE shop.customers REPLICA IDENTITY FULL",
    "ALTER TABLE shop.customers ADD CHECK (age > 0) NOT VALID",
    "CREATE TABLE shop.march PARTITION OF shop.events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
    """
    CREATE TABLE lab.april (LIKE shop.events INCLUDING ALL);
    ALTER TABLE shop.events ATTACH PARTITION lab.april FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')
    """,
    "CREATE MATERIALIZED VIEW lab.m AS SELECT id FROM shop.orders; CREATE UNIQUE INDEX ON lab.m (id)",
    "CHECKPOINT", "SELECT pg_switch_wal()", "DISCARD ALL", "LOCK TABLE shop.customers IN SHARE MODE NOWAIT",
    "CREATE PUBLICATION p FOR TABLE shop.customers (id, email) WHERE (id > 1)",
  ]

  @Test(arguments: maintenance) func maintenanceLeavesAllInForce(_ sql: String) throws {
    let before = try shop.admin.query("SELECT id, name, email FROM shop.customers ORDER BY id").text
    let superuser = try shop.connect()
    for statement in sql.split(separator: "\n") where statement.hasPrefix("LOCK") {
      try superuser.query("BEGIN; \(statement)")
    }
    if !sql.hasPrefix("LOCK") { try superuser.query(sql) }
    if sql.hasPrefix("LOCK") { try superuser.query("COMMIT") }
    #expect(try shop.admin.query("SELECT id, name, email FROM shop.customers ORDER BY id").text == before)
    try expectGoverned()
    if sql.hasPrefix("CREATE PUBLICATION") {
      try superuser.query("SELECT warden.break_glass('test')")
      try superuser.query("DROP PUBLICATION p")
    }
  }

  @Test func whatIsDroppedConcurrently() throws {
    let superuser = try shop.connect()
    try superuser.query("CREATE INDEX by_note ON shop.orders (note)")
    try shop.expectRefusal(
      of: "DROP INDEX CONCURRENTLY shop.by_note", by: "destructive-ddl", sqlstate: "WD001", on: superuser)
    try superuser.query("SELECT warden.break_glass('test')")
    try superuser.query("DROP INDEX CONCURRENTLY shop.by_note")
    try superuser.query("ALTER TABLE shop.events DETACH PARTITION shop.events_february CONCURRENTLY")
    let detached = try superuser.query(
      "SELECT relispartition FROM pg_class WHERE oid = 'shop.events_february'::regclass"
    ).value
    #expect(detached == "f")
    try expectGoverned()
  }

  /// A pooler gives the session to somebody else.
  @Test func discardAllEndsBreakGlass() throws {
    let superuser = try shop.connect()
    try superuser.query("SELECT warden.break_glass('pooled')")
    try superuser.query("DISCARD PLANS; DELETE FROM shop.orders WHERE true")
    try superuser.query("DISCARD ALL")
    try shop.expectRefusal(of: "UPDATE shop.parcels SET weight = 0", by: "whole-table-dml", on: superuser)
    #expect(try shop.audit(where: "event = 'break_glass' AND statement LIKE '%ended by DISCARD ALL%'").count == 1)
  }

  @Test func indexesAreSound() throws {
    let superuser = try shop.connect()
    try superuser.query("SELECT warden.break_glass('amcheck')")
    try superuser.query("CREATE EXTENSION IF NOT EXISTS amcheck")
    try superuser.query("SELECT warden.break_glass_end()")
    try superuser.query(
      """
      SELECT bt_index_parent_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
       WHERE a.amname = 'btree' AND c.relkind = 'i'
      """)
    let corrupt = try superuser.query(
      """
      SELECT c.relname, v.msg FROM pg_class c, LATERAL verify_heapam(c.oid) v
       WHERE c.relkind IN ('r', 'm') AND c.relam = 2
      """)
    #expect(corrupt.rows.isEmpty, "\(corrupt.text)")
  }

  /// Masking views step aside for DDL on their tables; who listens to DDL is not told of that.
  @Test func eventTriggersSeeTheStatementAlone() throws {
    let superuser = try shop.connect()
    try superuser.query("SELECT warden.break_glass('event triggers')")
    try superuser.query(
      """
      CREATE TABLE lab.seen (event text, tag text, object text);
      CREATE FUNCTION lab.sees() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
        IF TG_EVENT = 'sql_drop' THEN
          INSERT INTO lab.seen SELECT TG_EVENT, TG_TAG, object_identity FROM pg_event_trigger_dropped_objects();
        ELSE
          INSERT INTO lab.seen SELECT TG_EVENT, command_tag, object_identity FROM pg_event_trigger_ddl_commands();
        END IF;
      END$$;
      CREATE EVENT TRIGGER sees_drops ON sql_drop EXECUTE FUNCTION lab.sees();
      CREATE EVENT TRIGGER sees_commands ON ddl_command_end EXECUTE FUNCTION lab.sees();
      """)
    defer { _ = try? superuser.query("DROP EVENT TRIGGER sees_drops; DROP EVENT TRIGGER sees_commands") }
    try superuser.query("ALTER TABLE shop.customers ALTER phone TYPE varchar(30)")
    try superuser.query("ALTER TABLE shop.customers RENAME phone TO telephone")
    try superuser.query("ALTER TABLE shop.customers DROP COLUMN city")
    let seen = try superuser.query("SELECT event, tag, object FROM lab.seen ORDER BY 1, 2, 3").text
    #expect(!seen.contains("warden_views"), "\(seen)")
    #expect(seen.contains("sql_drop|ALTER TABLE|shop.customers.city"), "\(seen)")
  }
}

// MARK: - Replication

extension ServerTests.CompatibilityTests {
  private static let slot = "SELECT pg_create_logical_replication_slot('to_copy', 'pgoutput')"

  @Test func governedTablesAreReplicated() throws {
    let superuser = try shop.connect()
    try superuser.query("CREATE PUBLICATION to_copy FOR TABLE shop.parcels, shop.customers, shop.orders")
    // In the same cluster CREATE SUBSCRIPTION would wait for itself. A slot made in SQL is a road to every table's rows,
    // and a subscriber's session comes from inside of this server: both have to be allowed.
    #expect(superuser.error(Self.slot)?.detail.contains("server-escape") == true)
    try superuser.query(
      "SELECT warden.guard('replicates', 'allow', '{server_file}', '{*}', '{role:postgres}', priority => 1)")
    try superuser.query(Self.slot)
    try shop.cluster.connect().query("CREATE DATABASE subscriber TEMPLATE template0")
    let subscriber = try shop.cluster.connect(database: "subscriber", application: "subscriber")
    try subscriber.query("CREATE EXTENSION pg_warden; CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO PUBLIC")
    try subscriber.query(
      """
      CREATE TABLE shop.customers (id int PRIMARY KEY, name text, email text UNIQUE, phone text, age int, city text);
      CREATE TABLE shop.orders (id int PRIMARY KEY, customer_id int, total numeric, note text);
      CREATE TABLE shop.parcels (id int PRIMARY KEY, weight int NOT NULL);
      GRANT ALL ON ALL TABLES IN SCHEMA shop TO PUBLIC;
      SELECT warden.mask('shop.customers.email', 'email');
      SELECT warden.guard('nobody writes here', 'block', '{write}', '{shop.*}');
      SELECT warden.break_glass('subscribes');
      CREATE SUBSCRIPTION from_shop CONNECTION 'host=\(shop.cluster.socketDirectory) dbname=compat user=postgres'
        PUBLICATION to_copy WITH (create_slot = false, slot_name = 'to_copy');
      SELECT warden.break_glass_end()
      """)
    try superuser.query("SELECT warden.unguard('replicates')")
    try waitUntil("the tables are copied") {
      try subscriber.query("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate = 'r'").value == "3"
    }
    try superuser.query("UPDATE shop.parcels SET weight = 99 WHERE id = 1; INSERT INTO shop.parcels VALUES (7, 77)")
    try superuser.query("DELETE FROM shop.parcels WHERE id = 2")
    try waitUntil("changes arrive") {
      try subscriber.query("SELECT string_agg(p::text, ' ' ORDER BY id) FROM shop.parcels p").value == "(1,99) (7,77)"
    }
    #expect(
      subscriber.error("UPDATE shop.parcels SET weight = 1 WHERE id = 1")?.detail.contains("nobody writes") == true)
    try expectGoverned()
    let analyst = try shop.cluster.connect(role: "analyst", database: "subscriber")
    #expect(try analyst.query("SELECT email FROM shop.customers WHERE id = 1").value == Shop.maskedEmail)
    try subscriber.query("SELECT warden.break_glass('test')")
    try subscriber.query("ALTER SUBSCRIPTION from_shop DISABLE")
    try subscriber.query("ALTER SUBSCRIPTION from_shop SET (slot_name = NONE)")
    try subscriber.query("DROP SUBSCRIPTION from_shop")
  }
}

// MARK: - Dump and restore

extension ServerTests.CompatibilityTests {
  private func dump() throws -> String {
    try ServerUser.run(
      [
        "\(PgConfig.bindir)/pg_dump", "--host=\(shop.cluster.socketDirectory)", "--username=postgres", "--schema=shop",
        "--schema=warden*", "--extension=pg_warden", shop.database,
      ])
  }

  /// As docs/threat-model.md says how.
  private func restore(_ sql: String, into database: String, preceded by: String) throws -> String {
    let file = shop.cluster.path("restore.sql")
    try ServerUser.run(["sh", "-c", "cat > \(file) <<'the end'\n\(by);\n\(sql)\nthe end"])
    return try ServerUser.run(
      [
        "sh", "-c",
        """
        \(PgConfig.bindir)/psql -XqAt -h \(shop.cluster.socketDirectory) -U postgres -d \(database) -f \(file) 2>&1 |
        grep -a ERROR; true
        """,
      ])
  }

  @Test func policiesAreRestoredUnderBreakGlass() throws {
    try shop.admin.query(
      """
      SELECT warden.guard('no parcels', 'block', '{update}', '{shop.parcels}', '{role:clerk}');
      SELECT warden.guard('destructive-ddl', 'block', '{drop}', message => 'not here');
      SELECT warden.exempt('{role:clerk}', '{shop.customers.email}', reason => 'calls them');
      """)
    let dumped = try dump()
    try shop.admin.query("SELECT warden.unguard('destructive-ddl')")
    for database in ["restored", "bare_restored"] {
      try shop.cluster.connect().query("CREATE DATABASE \(database) TEMPLATE template0")
      try shop.cluster.connect(database: database).query("CREATE EXTENSION pg_warden")
    }
    // A session that is there already is to see what comes.
    let witness = try shop.cluster.connect(role: "clerk", database: "restored")
    try witness.query("SELECT 1")
    #expect(try restore(dumped, into: "restored", preceded: "SELECT warden.break_glass('restore')").isEmpty)
    try expectGoverned("restored")
    #expect(
      witness.error("UPDATE shop.parcels SET weight = 1 WHERE id = 1")?.detail.contains("\"no parcels\"") != false)
    let admin = try shop.cluster.connect(database: "restored")
    #expect(admin.error("DROP TABLE shop.parcels")?.text.contains("not here") == true)
    #expect(
      try admin.query("SELECT subjects, targets, reason FROM warden.exemptions").text
        == "{role:clerk}|{shop.customers.email}|calls them")
    #expect(
      try admin.query("SELECT count(*), bool_or(builtin AND name = 'destructive-ddl') FROM warden.guards").text == "4|f"
    )
    // Without break-glass the data comes, and no policy.
    let refused = try restore(dumped, into: "bare_restored", preceded: "SELECT 1")
    #expect(refused.contains("warden") && refused.contains("blocked"), "\(refused)")
    let bare = try shop.cluster.connect(database: "bare_restored")
    #expect(try bare.query("SELECT count(*) FROM shop.customers").value == "3")
    #expect(try bare.query("SELECT count(*), (SELECT count(*) FROM warden.masks) FROM warden.guards").text == "3|0")
  }
}
