import Foundation
import Testing

extension ServerTests {
  /// Guards with max_rows: rows are counted as they are returned or changed, by whatever road, and the row that is one
  /// too many stops the statement.
  @Suite struct RowLimitTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "row_limits")
    }
    let shop: Shop
    let owner: Connection

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      owner = try shop.connect("shop_owner")
      try owner.query(Self.ledger)
    }

    /// Ten accounts, with as many entries as their number, that fall with them; a log that a trigger writes.
    private static let ledger = """
      CREATE TABLE shop.accounts (id int PRIMARY KEY, balance int NOT NULL DEFAULT 0);
      CREATE TABLE shop.entries (id serial PRIMARY KEY, account int REFERENCES shop.accounts ON DELETE CASCADE ON UPDATE CASCADE);
      CREATE TABLE shop.log (what text);
      CREATE TABLE shop.copies (id int, total numeric);
      INSERT INTO shop.accounts SELECT g FROM generate_series(1, 10) g;
      INSERT INTO shop.entries (account) SELECT a.id FROM shop.accounts a, generate_series(1, a.id);
      CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO shop.log VALUES (TG_OP); RETURN COALESCE(NEW, OLD); END$$;
      """

    func cap(_ rows: Int, _ statements: String, _ objects: String = "*", _ more: String = "") throws {
      try shop.connect().query(
        "SELECT warden.guard('cap', 'block', '{\(statements)}', '{\(objects)}', max_rows => \(rows)\(more))")
    }

    /// What this test reads to see that nothing has changed.
    func leaveHarnessAlone() throws {
      try shop.connect().query(
        """
        SELECT warden.guard('harness', 'allow', '{read}', subjects => '{application:\(Shop.adminApplication)}',
          priority => 100)
        """)
    }

    func ledger() throws -> String {
      try ["accounts", "entries", "log", "copies"].map { table in
        try shop.admin.query("SELECT t::text FROM shop.\(table) t ORDER BY 1").text
      }.joined(separator: "\n")
    }

    func expectLimit(
      _ sql: String, on connection: Connection? = nil, thenRollBack: Bool = false,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let before = try ledger()
      try shop.expectRefusal(
        of: sql, by: "cap", sqlstate: "53400", on: connection ?? owner, thenRollBack: thenRollBack,
        sourceLocation: sourceLocation)
      try #expect(ledger() == before, "\(sql) changed data", sourceLocation: sourceLocation)
    }
  }
}

/// A limit, and a statement that passes it by one row or more.
struct LimitScenario: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let rows: Int
  let statements: String
  let objects: String
  let setup: String
  let sql: String

  init(
    _ title: String, _ rows: Int, _ statements: String, on objects: String, setup: String = "", _ sql: String
  ) {
    testDescription = title
    self.rows = rows
    self.statements = statements
    self.objects = objects
    self.setup = setup
    self.sql = sql
  }
}

// MARK: - Rows changed

extension ServerTests.RowLimitTests {
  static let changes = [
    LimitScenario("DELETE", 3, "delete", on: "shop.orders", "DELETE FROM shop.orders WHERE id > 0"),
    LimitScenario(
      "DELETE of what a subquery finds", 3, "delete", on: "*",
      "DELETE FROM shop.orders WHERE id IN (SELECT id FROM shop.orders)"),
    LimitScenario("UPDATE", 3, "update", on: "shop.*", "UPDATE shop.orders SET total = 0 WHERE id > 0"),
    LimitScenario(
      "column", 3, "update", on: "shop.orders.total", "UPDATE shop.orders SET total = 0 WHERE id > 0"),
    LimitScenario(
      "INSERT", 2, "insert", on: "shop.parcels", "INSERT INTO shop.parcels SELECT g, g FROM generate_series(11, 13) g"),
    LimitScenario("VALUES", 1, "write", on: "shop.parcels", "INSERT INTO shop.parcels VALUES (11, 1), (12, 1)"),
    LimitScenario("none at all", 0, "insert", on: "shop.parcels", "INSERT INTO shop.parcels VALUES (11, 1)"),
    LimitScenario(
      "ON CONFLICT DO UPDATE", 1, "update", on: "shop.parcels",
      "INSERT INTO shop.parcels VALUES (1, 1), (2, 1) ON CONFLICT (id) DO UPDATE SET weight = 9"),
    LimitScenario(
      "column of an upsert whose trigger runs statements of its own", 3, "update", on: "shop.parcels.weight",
      setup: "CREATE TRIGGER noted BEFORE UPDATE ON shop.parcels FOR EACH ROW EXECUTE FUNCTION shop.note()",
      "INSERT INTO shop.parcels VALUES (1, 1), (2, 1) ON CONFLICT (id) DO UPDATE SET weight = 9"),
    LimitScenario(
      "MERGE", 3, "merge", on: "shop.orders",
      "MERGE INTO shop.orders o USING shop.customers c ON c.id = o.customer_id WHEN MATCHED THEN UPDATE SET total = 0"),
    LimitScenario(
      "RETURNING", 3, "delete", on: "shop.orders", "DELETE FROM shop.orders WHERE id > 0 RETURNING *"),
    LimitScenario(
      "CTE", 3, "delete", on: "shop.orders",
      "WITH d AS (DELETE FROM shop.orders WHERE id > 0 RETURNING *) SELECT count(*) FROM d"),
    LimitScenario(
      "CTE that nobody reads", 3, "delete", on: "shop.orders",
      "WITH d AS (DELETE FROM shop.orders WHERE id > 0) SELECT 1"),
    LimitScenario(
      "two CTEs", 4, "write", on: "shop.orders",
      """
      WITH d AS (DELETE FROM shop.orders WHERE id > 2), i AS (INSERT INTO shop.copies VALUES (1), (2), (3)) SELECT 1
      """),
    LimitScenario(
      "COPY of a CTE", 3, "delete", on: "shop.orders",
      "COPY (DELETE FROM shop.orders WHERE id > 0 RETURNING id) TO STDOUT"),
    LimitScenario(
      "CREATE TABLE AS of a CTE", 3, "delete", on: "shop.orders",
      "CREATE TEMP TABLE gone AS WITH d AS (DELETE FROM shop.orders WHERE id > 0 RETURNING *) SELECT * FROM d"),
    LimitScenario("EXPLAIN ANALYZE", 3, "delete", on: "*", "EXPLAIN ANALYZE DELETE FROM shop.orders WHERE id > 0"),
    LimitScenario(
      "prepared", 3, "delete", on: "shop.orders", setup: "PREPARE d AS DELETE FROM shop.orders WHERE id > 0",
      "EXECUTE d"),
    LimitScenario("updatable view", 3, "delete", on: "shop.orders", "DELETE FROM shop.all_orders WHERE id > 0"),
    LimitScenario(
      "view with a trigger in its place", 2, "delete", on: "*",
      setup: """
        CREATE VIEW shop.v AS SELECT *, 1 AS one FROM shop.orders WHERE id > 1;
        CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN DELETE FROM shop.orders WHERE id = OLD.id; RETURN OLD; END';
        CREATE TRIGGER t INSTEAD OF DELETE ON shop.v FOR EACH ROW EXECUTE FUNCTION shop.f()
        """, "DELETE FROM shop.v WHERE id > 0"),
    LimitScenario("partitioned table", 2, "delete", on: "shop.events", "DELETE FROM shop.events WHERE id > 0"),
    LimitScenario(
      "rows of one partition, through the parent", 1, "delete", on: "shop.events_january",
      "DELETE FROM shop.events WHERE id > 0"),
    LimitScenario(
      "partition by name, guard on the parent", 1, "delete", on: "shop.events",
      "DELETE FROM shop.events_january WHERE id > 0"),
    LimitScenario(
      "rows of all partitions together", 2, "delete", on: "shop.events",
      "DO $$BEGIN DELETE FROM shop.events_january WHERE id > 0; DELETE FROM shop.events_february WHERE id > 0; END$$"),
    LimitScenario(
      "INSERT routed to partitions", 2, "insert", on: "shop.events",
      "INSERT INTO shop.events VALUES (4, '2026-01-01'), (5, '2026-02-01'), (6, '2026-02-02')"),
    LimitScenario(
      "rows that change their partition", 1, "update", on: "shop.events",
      "UPDATE shop.events SET day = '2026-02-03' WHERE day < '2026-02-01'"),
    LimitScenario(
      "loop, a row at a time", 3, "delete", on: "shop.orders",
      "DO $$BEGIN FOR i IN 1..4 LOOP DELETE FROM shop.orders WHERE id = i; END LOOP; END$$"),
    LimitScenario(
      "loop on a schema", 3, "delete", on: "shop.*",
      """
      DO $$BEGIN DELETE FROM shop.parcels WHERE id = 1; DELETE FROM shop.parcels WHERE id = 2;
      DELETE FROM shop.orders WHERE id = 1; DELETE FROM shop.orders WHERE id = 2; END$$
      """),
    LimitScenario(
      "function called for every row", 3, "delete", on: "shop.orders",
      setup: """
        CREATE FUNCTION shop.f(i int) RETURNS void LANGUAGE sql AS 'DELETE FROM shop.orders WHERE id = i';
        """, "SELECT shop.f(g) FROM generate_series(1, 4) g"),
    LimitScenario(
      "procedure", 3, "delete", on: "shop.orders",
      setup: "CREATE PROCEDURE shop.p() LANGUAGE sql AS 'DELETE FROM shop.orders WHERE id > 0'", "CALL shop.p()"),
    LimitScenario(
      "savepoints of plpgsql: rows that were taken back count", 3, "delete", on: "shop.orders",
      """
      DO $$BEGIN
        FOR i IN 1..4 LOOP
          BEGIN DELETE FROM shop.orders WHERE id = 1; RAISE division_by_zero;
          EXCEPTION WHEN division_by_zero THEN NULL; END;
        END LOOP; END$$
      """),
    LimitScenario(
      "rule", 3, "delete", on: "shop.orders",
      setup: "CREATE RULE r AS ON INSERT TO shop.parcels DO ALSO DELETE FROM shop.orders WHERE id > 0",
      "INSERT INTO shop.parcels VALUES (3, 9)"),
    LimitScenario(
      "cascade, guard on the parent", 5, "delete", on: "shop.accounts", "DELETE FROM shop.accounts WHERE id = 5"),
    LimitScenario(
      "cascade, guard on the child", 4, "delete", on: "shop.entries", "DELETE FROM shop.accounts WHERE id = 5"),
    LimitScenario("cascade, guard on everything", 5, "delete", on: "*", "DELETE FROM shop.accounts WHERE id = 5"),
    LimitScenario(
      "cascade of the key's change", 5, "update", on: "shop.*", "UPDATE shop.accounts SET id = 50 WHERE id = 5"),
    LimitScenario(
      "cascades of one row each", 2, "delete", on: "shop.entries",
      "DO $$BEGIN FOR i IN 1..2 LOOP DELETE FROM shop.accounts WHERE id = i; END LOOP; END$$"),
    LimitScenario(
      "row trigger", 3, "update", on: "shop.parcels",
      setup: "CREATE TRIGGER t AFTER UPDATE ON shop.parcels FOR EACH ROW EXECUTE FUNCTION shop.note()",
      "UPDATE shop.parcels SET weight = 1 WHERE id > 0"),
    LimitScenario(
      "BEFORE trigger, guard on what it writes", 1, "insert", on: "shop.log",
      setup: "CREATE TRIGGER t BEFORE UPDATE ON shop.parcels FOR EACH ROW EXECUTE FUNCTION shop.note()",
      "UPDATE shop.parcels SET weight = 1 WHERE id > 0"),
    LimitScenario(
      "statement trigger", 2, "all", on: "shop.parcels",
      setup: "CREATE TRIGGER t AFTER UPDATE ON shop.parcels FOR EACH STATEMENT EXECUTE FUNCTION shop.note()",
      "UPDATE shop.parcels SET weight = 1 WHERE id > 0"),
    LimitScenario(
      "what a trigger swallows comes again", 2, "update", on: "shop.parcels",
      setup: """
        CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS
          $$BEGIN INSERT INTO shop.log VALUES ('a'), ('b'); RETURN NEW; EXCEPTION WHEN OTHERS THEN RETURN NEW; END$$;
        CREATE TRIGGER t AFTER UPDATE ON shop.parcels FOR EACH ROW EXECUTE FUNCTION shop.f()
        """, "UPDATE shop.parcels SET weight = 1 WHERE id = 1"),
    LimitScenario(
      "deferred triggers, where they are fired", 2, "insert", on: "shop.log",
      setup: """
        CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON shop.orders DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION shop.note();
        BEGIN; UPDATE shop.orders SET note = 'x' WHERE id > 1
        """, "SET CONSTRAINTS ALL IMMEDIATE"),
    LimitScenario(
      "deferred triggers at COMMIT", 2, "insert", on: "shop.log",
      setup: """
        CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON shop.orders DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION shop.note();
        BEGIN; UPDATE shop.orders SET note = 'x' WHERE id > 1
        """, "COMMIT"),
    LimitScenario(
      "by an IMMUTABLE function, in EXPLAIN", 3, "delete", on: "shop.orders",
      setup: """
        CREATE FUNCTION shop.f() RETURNS int LANGUAGE plpgsql AS
          'BEGIN DELETE FROM shop.orders WHERE id > 0; RETURN 1; END';
        CREATE FUNCTION shop.g() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN shop.f(); END'
        """, "EXPLAIN SELECT shop.g()"),
  ]

  @Test(arguments: changes) func changesBeyondTheLimitAreRefused(_ scenario: LimitScenario) throws {
    try owner.query(scenario.setup)
    try cap(scenario.rows, scenario.statements, scenario.objects)
    try expectLimit(scenario.sql, thenRollBack: true)
  }

  /// The same statements, with a limit of one row more than they come to.
  @Test(arguments: changes) func changesWithinTheLimitPass(_ scenario: LimitScenario) throws {
    let extra = [
      "two CTEs": 2, "MERGE": 2, "function called for every row": 2, "cascade of the key's change": 2,
      "statement trigger": 2, "what a trigger swallows comes again": 2,
    ]
    try owner.query(scenario.setup)
    try cap(scenario.rows + (extra[scenario.testDescription] ?? 1), scenario.statements, scenario.objects)
    #expect(owner.error(scenario.sql)?.text == nil)
  }

  @Test func copyInIsCounted() throws {
    try cap(2, "copy_in", "shop.parcels")
    try owner.copyIn("COPY shop.parcels FROM STDIN", "11\t1\n12\t1\n")
    let before = try ledger()
    let error = #expect(throws: ServerError.self) {
      try owner.copyIn("COPY shop.parcels FROM STDIN", "13\t1\n14\t1\n15\t1\n")
    }
    #expect(error?.sqlstate == "53400" && error?.detail.contains("Guard \"cap\"") == true)
    #expect(try shop.admin.query("SELECT count(*) FROM shop.parcels").value == "4")
    #expect(try ledger() == before)
    let record = try #require(try shop.audit(where: "guard = 'cap'").first)
    #expect(record["outcome"] == "blocked" && record["sqlstate"] == "53400" && record["rows"] == "3")
  }

  @Test func rowsThatAreNotChangedDoNotCount() throws {
    try cap(1, "write")
    #expect(
      try owner.query(
        "INSERT INTO shop.parcels SELECT g, g FROM generate_series(1, 3) g ON CONFLICT DO NOTHING"
      ).affected == 1)
    #expect(
      try owner.query(
        """
        MERGE INTO shop.orders o USING shop.customers c ON c.id = o.customer_id
          WHEN MATCHED AND o.id = 1 THEN UPDATE SET total = 0
        """
      ).affected == 1)
    #expect(try owner.query("DELETE FROM shop.entries WHERE id IN (SELECT 1 FROM shop.orders)").affected == 1)
    // Foreign-key checks change nothing, and read for nobody.
    #expect(try owner.query("INSERT INTO shop.orders VALUES (9, 1, 1)").affected == 1)
  }

  @Test func commandTagsAreTheServersOwn() throws {
    try cap(100, "all")
    let sql = "WITH d AS (DELETE FROM shop.orders WHERE id > 1 RETURNING *) "
    #expect(try owner.query(sql + "INSERT INTO shop.copies SELECT id, total FROM d WHERE id > 3").affected == 1)
    #expect(try owner.query("WITH d AS (INSERT INTO shop.copies VALUES (1), (2)) SELECT 1").affected == 1)
    #expect(
      try owner.query(
        "WITH d AS (INSERT INTO shop.copies VALUES (1), (2) RETURNING id) UPDATE shop.parcels SET weight = 1 WHERE id = 1"
      ).affected == 1)
  }

  @Test func temporaryTablesAreExempt() throws {
    try cap(1, "write")
    try owner.query("CREATE TEMP TABLE t (a int)")
    #expect(try owner.query("INSERT INTO t SELECT generate_series(1, 9)").affected == 9)
    #expect(try owner.query("DELETE FROM t WHERE a > 2").affected == 7)
  }

  @Test func truncateIsMoreThanAnyNumber() throws {
    try shop.connect().query("SELECT warden.guard('cap', 'block', '{all}', max_rows => 1000, priority => 1)")
    try shop.expectRefusal(of: "TRUNCATE shop.parcels", by: "cap", on: owner)
  }
}

// MARK: - Rows returned

extension ServerTests.RowLimitTests {
  static let reads = [
    LimitScenario("SELECT", 3, "read", on: "shop.orders", "SELECT * FROM shop.orders"),
    LimitScenario("view", 3, "read", on: "shop.orders", "SELECT * FROM shop.all_orders"),
    LimitScenario("SELECT of no table", 3, "read", on: "*", "SELECT generate_series(1, 4)"),
    LimitScenario("second of two statements", 3, "read", on: "shop.orders", "SELECT 1; TABLE shop.orders"),
    LimitScenario("COPY TO", 3, "copy_out", on: "shop.orders", "COPY shop.orders TO STDOUT"),
    LimitScenario("COPY TO, by reading", 3, "read", on: "shop.orders", "COPY shop.orders (id) TO STDOUT"),
    LimitScenario("COPY of a query", 3, "read", on: "shop.orders", "COPY (SELECT * FROM shop.orders) TO STDOUT"),
    LimitScenario("COPY of a query, copied out", 3, "copy_out", on: "*", "COPY (SELECT * FROM shop.orders) TO STDOUT"),
    LimitScenario("CREATE TABLE AS", 3, "read", on: "shop.orders", "CREATE TABLE shop.c AS SELECT * FROM shop.orders"),
    LimitScenario("SELECT INTO", 3, "read", on: "shop.orders", "SELECT * INTO TEMP c FROM shop.orders"),
    LimitScenario(
      "CREATE MATERIALIZED VIEW", 3, "read", on: "shop.orders",
      "CREATE MATERIALIZED VIEW shop.c AS SELECT * FROM shop.orders"),
    LimitScenario(
      "REFRESH MATERIALIZED VIEW", 3, "read", on: "shop.orders",
      setup: "CREATE MATERIALIZED VIEW shop.c AS SELECT * FROM shop.orders WITH NO DATA",
      "REFRESH MATERIALIZED VIEW shop.c"),
    LimitScenario(
      "INSERT … SELECT", 3, "read", on: "shop.orders", "INSERT INTO shop.copies SELECT id, total FROM shop.orders"),
    LimitScenario(
      "INSERT … SELECT into a temporary table", 3, "read", on: "shop.orders", setup: "CREATE TEMP TABLE c (id int)",
      "INSERT INTO c SELECT id FROM shop.orders"),
    LimitScenario("EXPLAIN ANALYZE", 3, "read", on: "shop.orders", "EXPLAIN ANALYZE SELECT * FROM shop.orders"),
    LimitScenario("prepared", 3, "read", on: "*", setup: "PREPARE s AS SELECT * FROM shop.orders", "EXECUTE s"),
    LimitScenario(
      "WITH HOLD", 3, "read", on: "shop.orders",
      setup: "BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT * FROM shop.orders; FETCH 2 FROM c", "COMMIT"),
    LimitScenario(
      "FOR in plpgsql", 3, "read", on: "shop.orders",
      "DO $$DECLARE r record; BEGIN FOR r IN SELECT * FROM shop.orders LOOP NULL; END LOOP; END$$"),
    LimitScenario(
      "function of rows", 3, "read", on: "shop.orders",
      setup: """
        CREATE FUNCTION shop.f() RETURNS SETOF shop.orders LANGUAGE plpgsql AS
          'BEGIN RETURN QUERY TABLE shop.orders; END'
        """,
      "SELECT * FROM shop.f()"),
    LimitScenario(
      "SQL function of rows", 3, "read", on: "shop.orders",
      setup: "CREATE FUNCTION shop.f() RETURNS SETOF shop.orders LANGUAGE sql VOLATILE AS 'SELECT * FROM shop.orders'",
      "SELECT shop.f()"),
    LimitScenario(
      "RETURNING", 3, "read", on: "shop.orders", "UPDATE shop.orders SET total = 0 WHERE id > 0 RETURNING *"),
  ]

  @Test(arguments: reads) func readsBeyondTheLimitAreRefused(_ scenario: LimitScenario) throws {
    try owner.query(scenario.setup)
    try cap(scenario.rows, scenario.statements, scenario.objects)
    try leaveHarnessAlone()
    // A cursor that was open when the guard was made is another matter: see below.
    if scenario.testDescription == "WITH HOLD" { try owner.query("ROLLBACK; " + scenario.setup) }
    try expectLimit(scenario.sql, thenRollBack: true)
  }

  @Test(arguments: reads) func readsWithinTheLimitPass(_ scenario: LimitScenario) throws {
    try cap(scenario.rows + 1, scenario.statements, scenario.objects)
    try owner.query(scenario.setup)
    #expect(owner.error(scenario.sql)?.text == nil)
  }

  @Test func theClientGetsNoRowTooMany() throws {
    try cap(3, "read", "shop.orders")
    try owner.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM shop.orders ORDER BY id")
    #expect(try owner.query("FETCH 2 FROM c").rows.count == 2)
    #expect(try owner.query("FETCH 1 FROM c").rows.count == 1)
    #expect(owner.error("FETCH 1 FROM c")?.sqlstate == "53400")
    try owner.query("ROLLBACK")
    let record = try #require(try shop.audit(where: "guard = 'cap'").first)
    #expect(record["rows"] == "3" && record["outcome"] == "blocked" && record["statement"]?.contains("DECLARE") == true)
  }

  @Test func moveHandsOutNothing() throws {
    try cap(2, "read", "shop.orders")
    try owner.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM shop.orders ORDER BY id; MOVE 2 FROM c")
    #expect(try owner.query("FETCH 2 FROM c").rows.count == 2)
    try owner.query("COMMIT")
  }

  @Test func copyStopsInMidStream() throws {
    try cap(3, "read", "shop.orders")
    try owner.send("COPY (SELECT id FROM shop.orders ORDER BY id) TO STDOUT")
    #expect(throws: ServerError.self) { try owner.receive() }
    #expect(try owner.query("SELECT 1").value == "1")
    let record = try #require(try shop.audit(where: "guard = 'cap'").first)
    #expect(record["rows"] == "3")
  }

  /// A cursor goes on as it was opened; a statement that begins later is bound.
  @Test func guardMadeWhileACursorIsOpenBindsTheNextStatement() throws {
    try owner.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM shop.orders; FETCH 1 FROM c")
    try cap(1, "read", "shop.orders")
    #expect(try owner.query("FETCH ALL FROM c").rows.count == 3)
    #expect(owner.error("SELECT * FROM shop.orders")?.sqlstate == "53400")
    try owner.query("ROLLBACK")
  }

  @Test func preparedBeforeTheGuardIsBound() throws {
    try owner.prepare("s", "SELECT * FROM shop.orders WHERE id > $1::int")
    for _ in 1...6 { #expect(try owner.execute("s", "0").rows.count == 4) }
    try cap(3, "read", "shop.orders")
    #expect(try owner.execute("s", "1").rows.count == 3)
    let error = #expect(throws: ServerError.self) { try owner.execute("s", "0") }
    #expect(error?.sqlstate == "53400")
  }

  @Test func neverAnalyzedTableIsCountedToo() throws {
    try owner.query("CREATE TABLE shop.fresh AS SELECT g AS id FROM generate_series(1, 500) g")
    try cap(100, "delete", "shop.fresh")
    try expectLimit("DELETE FROM shop.fresh WHERE id > 0")
    #expect(try owner.query("DELETE FROM shop.fresh WHERE id <= 100").affected == 100)
  }

  @Test func parallelQueryIsCountedByItsLeader() throws {
    try owner.query(
      """
      CREATE TABLE shop.large AS SELECT g AS id FROM generate_series(1, 5000) g;
      SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0
      """)
    try cap(4999, "read", "shop.large")
    try expectLimit("SELECT * FROM shop.large")
    #expect(try owner.query("SELECT count(*) FROM shop.large").value == "5000")
  }
}

// MARK: - What comes of it

extension ServerTests.RowLimitTests {
  @Test func transactionGoesOnAfterSavepoint() throws {
    try cap(2, "delete", "shop.orders")
    try owner.query("BEGIN; INSERT INTO shop.parcels VALUES (3, 9); SAVEPOINT s")
    #expect(owner.error("DELETE FROM shop.orders WHERE id > 0")?.sqlstate == "53400")
    try owner.query("ROLLBACK TO s; DELETE FROM shop.orders WHERE id = 1; DELETE FROM shop.orders WHERE id = 2; COMMIT")
    #expect(try owner.query("SELECT count(*) FROM shop.parcels").value == "3")
    #expect(try owner.query("SELECT count(*) FROM shop.orders").value == "2")
  }

  @Test func errorSwallowedByPlpgsqlHoldsForTheRest() throws {
    try cap(2, "delete", "shop.orders")
    try owner.query(
      """
      DO $$BEGIN
        BEGIN DELETE FROM shop.orders WHERE id > 0; EXCEPTION WHEN configuration_limit_exceeded THEN NULL; END;
        BEGIN DELETE FROM shop.orders WHERE id = 1; EXCEPTION WHEN configuration_limit_exceeded THEN NULL; END;
      END$$
      """)
    #expect(try owner.query("SELECT count(*) FROM shop.orders").value == "4")
    #expect(try shop.audit(where: "guard = 'cap' AND outcome = 'blocked'").count == 2)
    #expect(try owner.query("DELETE FROM shop.orders WHERE id = 1").affected == 1)
  }

  @Test func recordIsOfTheStatementThatIsRefused() throws {
    try cap(5, "delete", "shop.accounts")
    #expect(owner.error("DELETE FROM shop.accounts WHERE id = 5")?.message.contains("shop.accounts") == true)
    let records = try shop.audit(where: "guard = 'cap'")
    #expect(records.count == 1)
    let record = try #require(records.first)
    #expect(record["statement"] == "DELETE FROM shop.accounts WHERE id = 5")
    #expect(record["decision"] == "blocked" && record["outcome"] == "blocked" && record["sqlstate"] == "53400")
    #expect(record["error"]?.contains("the row limit of 5") == true)
    let child = try #require(try shop.audit(where: "parent_no = \(record["statement_no"] ?? "0")").first)
    #expect(child["outcome"] == "failed" && child["command"] == "DELETE")
    let touched = try shop.access(where: "seq = \(child["seq"] ?? "0")")
    #expect(touched.contains { $0["relation"] == "shop.entries" && $0["action"] == "delete" })
    #expect(try shop.admin.query("SELECT ok FROM warden.verify_audit()").value == "t")
  }

  @Test func recordOfARefusalThatTheWriterTookEarly() throws {
    try cap(1, "all", "shop.orders")
    #expect(
      owner.error("UPDATE shop.orders SET total = 0 WHERE id > (SELECT pg_sleep(1.2) IS NULL)::int")?.sqlstate
        == "53400")
    let record = try #require(try shop.audit(where: "guard = 'cap'").first)
    #expect(record["decision"] == "blocked" && record["outcome"] == "blocked" && record["sqlstate"] == "53400")
    #expect(record["rows"] == "2")
  }

  @Test func statementWithinItsLimitIsAllowed() throws {
    try cap(5, "all")
    try owner.query("UPDATE shop.orders SET total = 0 WHERE id = 1")
    let record = try #require(try shop.audit(where: "command = 'UPDATE'").first)
    #expect(record["decision"] == "allowed" && record["guard"] == nil && record["outcome"] == "committed")
  }

  @Test func approvalIsRequiredBeyondTheLimit() throws {
    try shop.connect().query(
      "SELECT warden.guard('large', 'require_approval', '{delete}', '{shop.orders}', max_rows => 2)")
    try shop.expectRefusal(of: "DELETE FROM shop.orders WHERE id > 1", by: "large", sqlstate: "WD001", on: owner)
    #expect(try owner.query("DELETE FROM shop.orders WHERE id > 2").affected == 2)
  }

  @Test func leaveOfHigherPriorityExempts() throws {
    try cap(2, "delete", "shop.orders")
    try shop.connect().query(
      "SELECT warden.guard('leave', 'allow', '{delete}', '{shop.orders}', '{role:shop_owner}', priority => 10)")
    #expect(try owner.query("DELETE FROM shop.orders WHERE id > 0").affected == 4)
  }

  @Test func superuserIsBoundAndBreakGlassIsNot() throws {
    try cap(2, "delete", "shop.orders")
    let superuser = try shop.connect()
    try expectLimit("DELETE FROM shop.orders WHERE id > 0", on: superuser)
    try superuser.query("SELECT warden.break_glass('test')")
    #expect(try superuser.query("DELETE FROM shop.orders WHERE id > 0").affected == 4)
  }

  @Test func monitorRecordsAndLetsRun() throws {
    try cap(2, "write", "shop.orders")
    try shop.cluster.configure(["warden.mode = monitor"])
    defer {
      try? shop.cluster.configure(["warden.mode = enforce"])
      _ = try? shop.admin.query("SELECT pg_reload_conf()")
      try? waitUntil("enforcing") { try shop.admin.query("SHOW warden.mode").value == "enforce" }
    }
    try shop.admin.query("SELECT pg_reload_conf()")
    let session = try shop.connect("shop_owner")
    try waitUntil("monitoring") { try session.query("SHOW warden.mode").value == "monitor" }
    #expect(try session.query("DELETE FROM shop.orders WHERE id > 0").affected == 4)
    let record = try #require(try shop.audit(where: "guard = 'cap'").first)
    #expect(record["decision"] == "would_block" && record["outcome"] == "committed" && record["rows"] == "4")
    #expect(record["sqlstate"] == nil)
  }

  @Test func alertIsRaisedOnceAndTheStatementGoesOn() throws {
    try shop.connect().query("SELECT warden.guard('tell', 'alert', '{delete}', '{shop.orders}', max_rows => 2)")
    #expect(try owner.query("DELETE FROM shop.orders WHERE id > 2").affected == 2)
    try #expect(shop.audit(where: "guard = 'tell'").isEmpty)
    try owner.query("INSERT INTO shop.orders VALUES (3, 1, 1), (4, 1, 1)")
    #expect(try owner.query("DELETE FROM shop.orders WHERE id > 0").affected == 4)
    let records = try shop.audit(where: "guard = 'tell' AND event = 'statement'")
    #expect(records.count == 1)
    #expect(records.first?["outcome"] == "committed" && records.first?["rows"] == "4")
    let alerts = try shop.audit(where: "guard = 'tell' AND event = 'alert'")
    #expect(alerts.count == 1 && alerts.first?["statement_no"] == records.first?["statement_no"])
  }

  @Test func catalogsAreReadFreely() throws {
    try cap(1, "read")
    #expect(try owner.query("SELECT relname FROM pg_class").rows.count > 1)
  }
}
