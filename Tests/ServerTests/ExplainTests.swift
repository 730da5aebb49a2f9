import Testing

extension ServerTests {
  /// warden.explain: what would be decided, and that asking does nothing.
  @Suite struct ExplainTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "explain")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private func explain(_ statement: String, _ subject: String? = nil, on connection: Connection) throws -> [String] {
      let rows =
        try subject == nil
        ? connection.query("SELECT * FROM warden.explain($1)", statement)
        : connection.query("SELECT * FROM warden.explain($1, $2::name)", statement, subject)
      return rows.rows.map { row in row.map { $0 ?? "-" }.joined(separator: "|") }
    }
  }
}

/// What is explained, and the guard and the action that the explanation has to name.
struct Explained: Sendable, CustomTestStringConvertible {
  let sql: String
  /// nil: nothing matches.
  var guardName: String?
  var sqlstate = "42501"
  var setup = ""
  /// The statement is refused itself in the same way when it is run.
  var isRefused = true

  var testDescription: String { sql }
}

extension ServerTests.ExplainTests {
  static let statements = [
    Explained(sql: "DELETE FROM shop.orders", guardName: "whole-table-dml"),
    Explained(sql: "DELETE FROM shop.orders WHERE id = id", guardName: "whole-table-dml"),
    Explained(
      sql: "WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT count(*) FROM d", guardName: "whole-table-dml"),
    Explained(sql: "COPY (DELETE FROM shop.orders RETURNING id) TO STDOUT", guardName: "whole-table-dml"),
    Explained(sql: "EXPLAIN ANALYZE DELETE FROM shop.orders", guardName: "whole-table-dml"),
    Explained(
      sql: "CREATE TEMP TABLE gone AS WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM d",
      guardName: "whole-table-dml"),
    Explained(sql: "DELETE FROM shop.all_orders", guardName: "whole-table-dml"),
    Explained(sql: "EXECUTE d", guardName: "whole-table-dml", setup: "PREPARE d AS DELETE FROM shop.orders"),
    Explained(
      sql: "INSERT INTO shop.parcels VALUES (3, 9)", guardName: "whole-table-dml",
      setup: "CREATE RULE r AS ON INSERT TO shop.parcels DO ALSO DELETE FROM shop.orders"),
    Explained(sql: "DROP TABLE shop.orders", guardName: "destructive-ddl", sqlstate: "WD001"),
    Explained(sql: "DROP SCHEMA shop CASCADE", guardName: "destructive-ddl", sqlstate: "WD001"),
    Explained(sql: "TRUNCATE shop.customers CASCADE", guardName: "destructive-ddl", sqlstate: "WD001"),
    Explained(sql: "ALTER TABLE shop.orders DROP note", guardName: "destructive-ddl", sqlstate: "WD001"),
    Explained(sql: "ALTER SYSTEM SET work_mem = '8MB'", guardName: "server-escape"),
    Explained(sql: "COPY shop.orders TO PROGRAM 'cat'", guardName: "server-escape"),
    Explained(sql: "SELECT pg_read_file('PG_VERSION')", guardName: "server-escape"),
    Explained(sql: "DELETE FROM warden.guard_policy WHERE name = 'x'", guardName: "self-protection"),
    Explained(sql: "DROP EXTENSION pg_warden", guardName: "self-protection"),
    Explained(sql: "DELETE FROM shop.orders WHERE id = 1"),
    Explained(sql: "EXPLAIN DELETE FROM shop.orders"),
    Explained(sql: "SELECT warden.break_glass_end()"),
    Explained(sql: "BEGIN; COMMIT"),
    Explained(sql: "TABLE shop.orders"),
  ]

  /// What is told is what happens: the guard that decides, its action, and the message.
  @Test(arguments: statements) func agreesWithTheDecision(_ scenario: Explained) throws {
    let superuser = try shop.connect()
    try superuser.query(scenario.setup)
    let before = try shop.contents()
    let rows = try explain(scenario.sql, on: superuser)
    #expect(try shop.contents() == before)
    try superuser.query("BEGIN")
    let error = superuser.error(scenario.sql)
    try superuser.query("ROLLBACK")
    guard let guardName = scenario.guardName else {
      #expect(rows.isEmpty, "\(rows)")
      #expect(error == nil, "\(error?.text ?? "")")
      return
    }
    let action = scenario.sqlstate == "WD001" ? "require_approval" : "block"
    #expect(error?.sqlstate == scenario.sqlstate)
    #expect(error?.detail.contains("Guard \"\(guardName)\"") == true, "\(error?.text ?? "no error")")
    #expect(rows.contains { $0.hasPrefix("\(guardName)|\(action)|") && $0.contains(": decides") }, "\(rows)")
    #expect(rows.last == "-|\(action)|-|\(error?.message ?? "")", "\(rows)")
  }

  @Test func parametersArePlannedAsUnknown() throws {
    let analyst = try shop.connect("analyst")
    #expect(try explain("DELETE FROM shop.orders WHERE id = $1", on: analyst).isEmpty)
    #expect(try explain("DELETE FROM shop.orders WHERE $1", on: analyst).first?.hasPrefix("whole-table-dml") == true)
  }

  @Test func severalStatementsAreToldApart() throws {
    let rows = try explain("SELECT 1; DROP TABLE shop.orders; DO $$BEGIN END$$", on: shop.admin)
    #expect(
      rows == [
        "destructive-ddl|require_approval|shop.orders|statement 2: drop: decides",
        "-|require_approval|-|statement 2: DROP TABLE on shop.orders requires approval",
        "-|-|-|statement 3: what the DO block runs is decided when it runs",
      ])
  }

  static let errors = [
    ("SELEC 1", "42601"), ("SELECT * FROM nosuch", "42P01"), ("SELECT nosuch FROM shop.orders", "42703"),
    ("EXECUTE nosuch", "26000"), ("SELECT $1", ""), ("DELETE FROM shop.orders WHERE id = $1 + $2", "42725"),
    ("COPY (SELECT * FROM nosuch) TO STDOUT", "42P01"), ("DROP TABLE nosuch", "42P01"),
    ("DROP SCHEMA nosuch", "3F000"), ("DROP FUNCTION nosuch()", "42883"), ("TRUNCATE nosuch", "42P01"),
    ("ALTER TABLE shop.nosuch ADD x int", "42P01"), ("COPY nosuch TO STDOUT", "42P01"),
    ("CREATE INDEX ON nosuch (a)", "42P01"), ("DROP TABLE IF EXISTS nosuch", ""),
  ]

  @Test(arguments: errors) func statementsThatAreNoneHaveTheirOwnError(_ sql: String, _ sqlstate: String) throws {
    let analyst = try shop.connect("analyst")
    let error = analyst.error("SELECT * FROM warden.explain($q$\(sql)$q$)")
    #expect(error?.sqlstate ?? "" == sqlstate, "\(error?.text ?? "no error")")
    // In a transaction, too: it goes on after ROLLBACK TO, and where a block catches the error.
    try analyst.query("BEGIN; SAVEPOINT s")
    _ = analyst.error("SELECT * FROM warden.explain($q$\(sql)$q$)")
    try analyst.query("ROLLBACK TO s")
    try analyst.query(
      """
      DO $d$BEGIN
        BEGIN PERFORM warden.explain($q$\(sql)$q$); EXCEPTION WHEN OTHERS THEN NULL; END;
        PERFORM count(*) FROM shop.orders;
      END$d$
      """)
    #expect(try analyst.query("SELECT count(*) FROM shop.orders").value == "4")
    try analyst.query("COMMIT")
  }

  static let functions = [
    // what the planner would run: each would raise
    "SELECT shop.immutable(1)", "SELECT * FROM shop.orders WHERE id = shop.immutable(1)",
    "SELECT shop.immutable()", "SELECT * FROM shop.immutable(1)", "SELECT * FROM shop.immutable()",
    "SELECT shop.in_sql()", "SELECT * FROM shop.in_sql()",
    "SELECT v FROM (SELECT 1 AS v) s WHERE shop.immutable(v) = 1",
    "SELECT * FROM shop.orders WHERE note OPERATOR(shop.===) 'a'",
    "SELECT * FROM shop.orders ORDER BY shop.immutable(2)",
    "INSERT INTO shop.parcels VALUES (9, shop.immutable(9)) ON CONFLICT (id) DO UPDATE SET weight = shop.immutable(1)",
    "SELECT CASE WHEN shop.immutable(1) = 1 THEN 2 END",
    "SELECT shop.stable(1) FROM shop.orders WHERE id < shop.stable(3)",
    "SELECT (ARRAY[1])[shop.immutable(1)], ROW(shop.immutable(2)), COALESCE(shop.immutable(3), 1)",
    "SELECT * FROM shop.secured", "CALL shop.proc(shop.immutable(1))", "SELECT sum(shop.immutable(1)) OVER ()",
    "EXPLAIN ANALYZE SELECT shop.immutable(1)", "SELECT * FROM shop.orders WHERE id = ANY (ARRAY[shop.immutable(1)])",
  ]

  /// Planning runs nothing of a user's: every function here raises, and is told as one that cannot be looked into.
  @Test(arguments: functions) func planningRunsNoFunction(_ sql: String) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE FUNCTION shop.immutable(int) RETURNS int IMMUTABLE LANGUAGE plpgsql
        AS 'BEGIN DELETE FROM shop.parcels; RAISE ''it ran''; END';
      CREATE FUNCTION shop.immutable() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RAISE ''it ran''; END';
      CREATE FUNCTION shop.stable(int) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RAISE ''it ran''; END';
      CREATE FUNCTION shop.in_sql() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT shop.immutable(1)';
      CREATE FUNCTION shop.same(text, text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RAISE ''it ran''; END';
      CREATE OPERATOR shop.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = shop.same, RESTRICT = eqsel);
      CREATE PROCEDURE shop.proc(int) LANGUAGE plpgsql AS 'BEGIN RAISE ''it ran''; END';
      CREATE VIEW shop.secured WITH (security_barrier) AS SELECT * FROM shop.orders WHERE id = shop.immutable(1);
      ANALYZE shop.orders
      """)
    let before = try shop.contents()
    let rows = try explain(sql, on: owner)
    #expect(rows.contains { $0.hasSuffix("is decided when it runs") }, "\(rows)")
    #expect(try shop.contents() == before)
  }

  @Test func conditionsByFunctionsAreConditions() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      "CREATE FUNCTION shop.f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RAISE ''it ran''; END'")
    #expect(
      try explain("DELETE FROM shop.orders WHERE shop.f(id) = 1", on: owner) == [
        "-|-|shop.f|what the function runs is decided when it runs"
      ])
    let rows = try explain("DELETE FROM shop.orders WHERE shop.f(1) = 1", on: owner)
    #expect(rows.contains { $0.hasPrefix("whole-table-dml|block|shop.orders|delete_all: decides") }, "\(rows)")
  }

  @Test func subjectsOfOthers() throws {
    try shop.admin.query("SELECT warden.guard('clerks', 'block', '{read}', '{shop.*}', '{role:agents}')")
    let row = "clerks|block|shop.orders|read: decides"
    #expect(try explain("TABLE shop.orders", on: shop.admin).isEmpty)
    #expect(try explain("TABLE shop.orders", "copilot", on: shop.admin).first == row)
    #expect(try explain("TABLE shop.orders", "clerk", on: shop.admin).isEmpty)
    #expect(try explain("TABLE shop.orders", "agents", on: shop.connect("copilot")).first == row)
    #expect(try explain("TABLE shop.orders", on: shop.connect("copilot")).first == row)
    let analyst = try shop.connect("analyst")
    let error = analyst.error("SELECT * FROM warden.explain('TABLE shop.orders', 'copilot')")
    #expect(error?.sqlstate == "42501")
    #expect(error?.hint.isEmpty == false)
    #expect(analyst.error("SELECT * FROM warden.explain('SELECT 1', 'nobody_at_all')")?.sqlstate == "42704")
    #expect(analyst.error("SELECT * FROM warden.explain(NULL)")?.sqlstate == "22023")
    #expect(try explain("SELECT 1", "clerk", on: shop.connect("policy_admin")).isEmpty)
  }

  /// Only the call itself is recorded, no lock stays, and nothing is told to anybody.
  @Test func leavesNothingBehind() throws {
    try shop.admin.query("SELECT warden.guard('tell', 'alert', '{read,delete}', '{shop.orders}')")
    let session = try shop.connect("analyst")
    try session.query("BEGIN")
    _ = try explain("DELETE FROM shop.orders; DROP TABLE shop.customers; SELECT * FROM shop.orders", on: session)
    let locks = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = ANY ($1::regclass[])"
    #expect(try session.query(locks, "{shop.orders,shop.customers}").value == "0")
    try session.query("COMMIT")
    let records = try shop.audit(where: "statement NOT LIKE '%pg_locks%' AND command = 'SELECT' OR event = 'alert'")
    #expect(records.count == 1)
    #expect(records.first?["decision"] == "allowed")
  }

  /// How each masked column would be seen, by whom and why; and what a write that reads one comes to.
  @Test func masksAreTold() throws {
    try shop.mask()
    let analyst = try shop.connect("analyst")
    let read = "SELECT id, email, city FROM shop.customers WHERE phone = 'x'"
    let runs = "-|allow|-|the statement runs"
    let email = "shop.customers.email"
    #expect(
      try explain(read, on: analyst) == [
        "mask|mask|\(email)|method email; not exempt", "mask|mask|shop.customers.phone|method partial; not exempt",
        runs,
      ])
    #expect(try explain("SELECT id FROM shop.customers", on: analyst).isEmpty)
    #expect(
      try explain("COPY shop.customers (email) TO STDOUT", on: analyst).contains { $0.contains("|mask|\(email)|") })
    #expect(
      try explain("SELECT email FROM shop.events_january", on: analyst).first
        == "mask|mask|shop.events_january.email|method email; not exempt")
    #expect(
      try explain("SELECT email FROM shop.customers", "shop_owner", on: shop.admin) == [
        "mask|allow|\(email)|real values: owner", runs,
      ])
    #expect(
      try explain("SELECT email FROM shop.customers", on: shop.admin) == [
        "mask|allow|\(email)|real values: superuser", runs,
      ])
    try shop.admin.query("SELECT warden.exempt('{role:analyst}', '{\(email)}')")
    #expect(
      try explain(read, "analyst", on: shop.admin) == [
        "mask|allow|\(email)|real values: exempt", "mask|mask|shop.customers.phone|method partial; not exempt", runs,
      ])
  }

  static let maskedWrites = [
    "UPDATE shop.customers SET city = 'x' WHERE email = 'y'", "DELETE FROM shop.customers WHERE phone LIKE '+1%'",
    "UPDATE shop.customers SET city = email WHERE id = 1",
    "WITH u AS (UPDATE shop.customers SET city = 'x' WHERE email = 'y' RETURNING id) SELECT * FROM u",
  ]

  /// What is told is the refusal that the statement meets.
  @Test(arguments: maskedWrites) func maskedWritesAreTold(_ sql: String) throws {
    try shop.mask()
    let analyst = try shop.connect("analyst")
    let before = try shop.contents()
    let rows = try explain(sql, on: analyst)
    #expect(rows.contains("mask|block|shop.customers|masked columns are read to change data; not exempt"), "\(rows)")
    #expect(rows.last == "-|block|-|\(analyst.error(sql)?.message ?? "")", "\(rows)")
    #expect(try explain(sql, "shop_owner", on: shop.admin).last == "-|allow|-|the statement runs")
    #expect(try shop.contents() == before)
    #expect(try explain("UPDATE shop.customers SET city = 'x' WHERE id = 1", on: analyst).isEmpty)
  }

  /// Names of what the caller may not see are in the audit alone.
  @Test func namesAreNotLeaked() throws {
    try shop.admin.query(
      """
      CREATE SCHEMA IF NOT EXISTS vault;
      CREATE TABLE IF NOT EXISTS vault.treasure (secretcolumn int);
      CREATE OR REPLACE VIEW shop.window AS SELECT * FROM vault.treasure;
      GRANT ALL ON shop.window TO analyst;
      CREATE OR REPLACE FUNCTION shop.reach() RETURNS void SECURITY DEFINER LANGUAGE plpgsql
        AS 'BEGIN PERFORM * FROM vault.treasure; END';
      SELECT warden.guard('treasury', 'block', '{read,drop}', '{vault.*}', message => 'ask the treasurer')
      """)
    let analyst = try shop.connect("analyst")
    for sql in ["TABLE shop.window", "SELECT shop.reach()", "SELECT * FROM shop.window w WHERE w.secretcolumn = 1"] {
      let error = analyst.error(sql)
      #expect(error?.sqlstate == "42501")
      #expect(error?.detail == "Guard \"treasury\": ask the treasurer")
      for text in [error?.message, error?.detail, error?.hint] { #expect(text?.contains("vault") == false, "\(sql)") }
    }
    let rows = try explain("TABLE shop.window", on: analyst)
    #expect(rows.first == "treasury|block|-|read: decides")
    #expect(!rows.joined().contains("vault"))
    let messages = try shop.audit(where: "guard = 'treasury'").compactMap { $0["error"] }
    #expect(messages.count == 3)
    #expect(messages.allSatisfy { $0 == "SELECT on vault.treasure is blocked" })
    #expect(shop.admin.error("TABLE shop.window")?.message == "SELECT on vault.treasure is blocked")
  }
}
