import Foundation
import Testing

extension ServerTests {
  /// Guards: what they stop, by which road it comes, and what they leave alone.
  @Suite struct GuardTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "guards")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }
  }
}

/// A statement and what has to be there before it, both run by the tables' owner.
struct Scenario: CustomTestStringConvertible, Sendable {
  let title: String
  let setup: String
  let sql: String

  init(_ title: String, setup: String = "", _ sql: String) {
    self.title = title
    self.setup = setup
    self.sql = sql
  }

  var testDescription: String { title }
}

// MARK: - Whole-table DML

extension ServerTests.GuardTests {
  static let wholeTable = [
    Scenario("DELETE", "DELETE FROM shop.orders"),
    Scenario("UPDATE", "UPDATE shop.orders SET total = 0"),
    Scenario("WHERE true", "DELETE FROM shop.orders WHERE true"),
    Scenario("WHERE 1 = 1", "UPDATE shop.orders SET total = 0 WHERE 1 = 1"),
    Scenario("WHERE id = id", "DELETE FROM shop.orders WHERE id = id"),
    Scenario("itself, of a column that may be NULL", "DELETE FROM shop.orders WHERE note = note"),
    Scenario("itself as text", "UPDATE shop.orders SET total = 0 WHERE id::text = id::text"),
    Scenario("itself in an array", "DELETE FROM shop.orders WHERE ARRAY[total] = ARRAY[total]"),
    Scenario("itself as a row", "DELETE FROM shop.orders WHERE (id, total) = (id, total)"),
    Scenario("unlike none", "DELETE FROM shop.orders WHERE id <> ALL ('{}')"),
    Scenario("not among none", "DELETE FROM shop.orders WHERE NOT (id = ANY ('{}'::int[]))"),
    Scenario("or its opposite the other way round", "DELETE FROM shop.orders WHERE id > 5 OR 5 >= id"),
    Scenario("not NULL, said the long way", "DELETE FROM shop.orders WHERE (id IS NULL) IS FALSE"),
    Scenario("SIMILAR TO", "DELETE FROM shop.customers WHERE name SIMILAR TO '%'"),
    Scenario("starts with nothing", "DELETE FROM shop.customers WHERE name ^@ ''"),
    Scenario(
      "LIKE a parameter",
      setup: "SET plan_cache_mode = force_generic_plan; PREPARE d AS DELETE FROM shop.customers WHERE name LIKE $1",
      "EXECUTE d('%')"),
    Scenario(
      "coalesce of a parameter",
      setup: """
        SET plan_cache_mode = force_generic_plan; PREPARE d AS DELETE FROM shop.orders WHERE id = coalesce($1, id)
        """,
      "EXECUTE d(NULL)"),
    Scenario("… OR true", "DELETE FROM shop.orders WHERE id = 1 OR true"),
    Scenario("IS TRUE", "DELETE FROM shop.orders WHERE (id = id) IS TRUE"),
    Scenario("IS NOT DISTINCT FROM itself", "DELETE FROM shop.orders WHERE id IS NOT DISTINCT FROM id"),
    Scenario("tableoid", "DELETE FROM shop.orders WHERE tableoid = 'shop.orders'::regclass"),
    Scenario("in its own array", "DELETE FROM shop.orders WHERE id = ANY (ARRAY[id])"),
    Scenario("NULL or not", "DELETE FROM shop.orders WHERE note IS NULL OR note IS NOT NULL"),
    Scenario("row against itself", "DELETE FROM shop.orders o WHERE o = o"),
    Scenario("CASE of constants", "DELETE FROM shop.orders WHERE CASE WHEN id > 0 THEN true ELSE true END"),
    Scenario("COALESCE", "DELETE FROM shop.orders WHERE coalesce(id = id, true)"),
    Scenario("LIKE '%'", "DELETE FROM shop.orders WHERE note LIKE '%'"),
    Scenario("~ '.*'", "DELETE FROM shop.orders WHERE note ~ '.*'"),
    Scenario("IS NOT NULL of a key", "DELETE FROM shop.orders WHERE id IS NOT NULL"),
    Scenario("comparison IS NOT NULL", "DELETE FROM shop.orders WHERE (id = 1) IS NOT NULL"),
    Scenario("a condition or its opposite", "DELETE FROM shop.orders WHERE id > 2 OR id <= 2"),
    Scenario("IS TRUE or IS NOT TRUE", "DELETE FROM shop.orders WHERE (id = 1) IS TRUE OR (id = 1) IS NOT TRUE"),
    Scenario("NULLIF", "DELETE FROM shop.orders WHERE nullif(id, id) IS NULL"),
    Scenario("IS DISTINCT FROM NULL", "DELETE FROM shop.orders WHERE id IS DISTINCT FROM NULL"),
    Scenario("rows", "DELETE FROM shop.orders WHERE ROW(id, total) >= ROW(id, total)"),
    Scenario("BETWEEN", "DELETE FROM shop.orders WHERE id BETWEEN id AND id"),
    Scenario("NOT of what is never", "DELETE FROM shop.orders WHERE NOT id < id"),
    Scenario("subquery without a table", "DELETE FROM shop.orders o WHERE (SELECT o.id) = o.id"),
    Scenario("EXISTS without a table", "DELETE FROM shop.orders o WHERE EXISTS (SELECT WHERE o.id = o.id)"),
    Scenario("one row of a function", "UPDATE shop.orders SET total = 0 FROM generate_series(1, 1)"),
    Scenario(
      "parameter that makes the condition one of all rows",
      setup: """
        SET plan_cache_mode = force_generic_plan;
        PREPARE d(int) AS DELETE FROM shop.orders WHERE $1 IS NULL OR id = $1
        """, "EXECUTE d(NULL)"),
    Scenario(
      "MERGE with a condition on itself",
      "MERGE INTO shop.orders o USING (SELECT 1) s ON true WHEN MATCHED AND o.id = o.id THEN DELETE"),
    Scenario("volatile, about no column", "DELETE FROM shop.orders WHERE random() >= 0"),
    Scenario("stable, about no column", "DELETE FROM shop.orders WHERE now() > '2000-01-01'"),
    Scenario("subquery about no column", "DELETE FROM shop.orders WHERE EXISTS (SELECT FROM shop.customers)"),
    Scenario("USING without a join", "DELETE FROM shop.orders USING shop.customers"),
    Scenario("FROM without a join", "UPDATE shop.orders SET total = 0 FROM shop.customers"),
    Scenario("FROM, the other side limited", "UPDATE shop.orders SET total = 0 FROM shop.customers c WHERE c.id = 1"),
    Scenario("CTE", "WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT count(*) FROM d"),
    Scenario("CTE that nobody reads", "WITH d AS (DELETE FROM shop.orders) SELECT 1"),
    Scenario("COPY TO", "COPY (DELETE FROM shop.orders RETURNING id) TO STDOUT"),
    Scenario("COPY TO of a CTE", "COPY (WITH d AS (DELETE FROM shop.orders RETURNING id) SELECT * FROM d) TO STDOUT"),
    Scenario(
      "CREATE TABLE AS", "CREATE TEMP TABLE gone AS WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM d"),
    Scenario("EXPLAIN ANALYZE", "EXPLAIN ANALYZE DELETE FROM shop.orders"),
    Scenario("MERGE … DELETE", "MERGE INTO shop.orders USING (VALUES (1)) v (x) ON true WHEN MATCHED THEN DELETE"),
    Scenario(
      "MERGE … UPDATE", "MERGE INTO shop.orders USING (VALUES (1)) v (x) ON true WHEN MATCHED THEN UPDATE SET total = 0"
    ),
    Scenario("updatable view", "DELETE FROM shop.all_orders"),
    Scenario("partitioned table", "DELETE FROM shop.events"),
    Scenario("partition by name", "DELETE FROM shop.events_january"),
    Scenario("second of two statements", "SELECT 1; DELETE FROM shop.orders"),
    Scenario("DO", "DO $$BEGIN DELETE FROM shop.orders; END$$"),
    Scenario("DO with dynamic SQL", "DO $$BEGIN EXECUTE 'DELETE FR' || 'OM shop.orders'; END$$"),
    Scenario("PREPARE", setup: "PREPARE d AS DELETE FROM shop.orders", "EXECUTE d"),
    Scenario(
      "plpgsql function",
      setup: "CREATE FUNCTION shop.f() RETURNS void LANGUAGE plpgsql AS 'BEGIN DELETE FROM shop.orders; END'",
      "SELECT shop.f()"),
    Scenario(
      "SQL function",
      setup: "CREATE FUNCTION shop.f() RETURNS void LANGUAGE sql AS 'DELETE FROM shop.orders'", "SELECT shop.f()"),
    Scenario(
      "SQL function, BEGIN ATOMIC",
      setup: "CREATE FUNCTION shop.f() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM shop.orders; END",
      "SELECT shop.f()"),
    Scenario(
      "procedure",
      setup: "CREATE PROCEDURE shop.p() LANGUAGE sql AS 'DELETE FROM shop.orders'", "CALL shop.p()"),
    Scenario(
      "rule",
      setup: "CREATE RULE r AS ON INSERT TO shop.parcels DO ALSO DELETE FROM shop.orders",
      "INSERT INTO shop.parcels VALUES (3, 9)"),
    Scenario(
      "trigger",
      setup: """
        CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM shop.orders; RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON shop.parcels FOR EACH ROW EXECUTE FUNCTION shop.f()
        """, "INSERT INTO shop.parcels VALUES (3, 9)"),
    // The planner runs it to fold the constant, before the outer statement has an executor.
    Scenario(
      "IMMUTABLE wrapper in EXPLAIN",
      setup: """
        CREATE FUNCTION shop.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM shop.orders; RETURN 1; END';
        CREATE FUNCTION shop.g() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN shop.f(); END'
        """, "EXPLAIN SELECT shop.g()"),
  ]

  @Test(arguments: wholeTable) func wholeTableIsRefused(_ scenario: Scenario) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(scenario.setup)
    try shop.expectRefusal(of: scenario.sql, by: "whole-table-dml", on: owner)
  }

  static let limited = [
    ("DELETE FROM shop.orders WHERE id = 1", 1),
    ("DELETE FROM shop.orders WHERE id IN (SELECT o.id FROM shop.orders o WHERE o.total > 25)", 2),
    ("DELETE FROM shop.orders o USING shop.customers c WHERE c.id = o.customer_id AND c.city = 'Oslo'", 1),
    ("UPDATE shop.orders SET total = 0 WHERE note IS NULL", 1),
    ("UPDATE shop.orders SET total = 0 WHERE note IS NOT NULL", 3),
    ("UPDATE shop.orders SET total = 0 WHERE (note, id) IS NOT NULL", 3),
    ("UPDATE shop.orders o SET total = 0 FROM (SELECT 1 AS id) s WHERE o.note IS NOT NULL AND s.id = o.id", 1),
    ("UPDATE shop.orders o SET total = 0 FROM shop.customers c WHERE c.id = o.customer_id AND c.city = 'Rome'", 3),
    ("WITH d AS (DELETE FROM shop.orders WHERE id = 2 RETURNING *) SELECT count(*) FROM d", 1),
    ("DELETE FROM shop.orders WHERE false", 0),
    ("DELETE FROM shop.large_orders WHERE id = 3", 1),
    ("DELETE FROM shop.events WHERE day = '2026-01-10'", 1),
    ("DELETE FROM shop.events WHERE day < '2026-02-01'", 2),
    ("UPDATE shop.events_january SET id = 9 WHERE id = 1", 1),
    ("MERGE INTO shop.orders o USING (VALUES (1), (2)) v (id) ON v.id = o.id WHEN MATCHED THEN DELETE", 2),
    ("INSERT INTO shop.orders VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET total = 0", 1),
  ]

  @Test(arguments: limited) func limitedStatementsPass(_ sql: String, _ rows: Int) throws {
    let owner = try shop.connect("shop_owner")
    #expect(try owner.query(sql).affected == rows)
    let record = try #require(try shop.audit(where: "role_name = 'shop_owner' AND event = 'statement'").first)
    #expect(record["decision"] == "allowed" && record["outcome"] == "committed")
  }

  /// What is stored does not know where it was written.
  @Test func storedConditionIsACondition() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE VIEW shop.noted AS SELECT * FROM shop.orders WHERE note IS NOT NULL;
      CREATE FUNCTION shop.f() RETURNS void LANGUAGE sql BEGIN ATOMIC
        UPDATE shop.orders SET total = 0 WHERE note IS NOT NULL; END
      """)
    #expect(try owner.query("UPDATE shop.noted SET total = 1").affected == 3)
    try owner.query("SELECT shop.f()")
    #expect(try owner.query("SELECT count(*) FROM shop.orders WHERE total = 0").value == "3")
  }

  @Test func preparedStatementWithConditionPasses() throws {
    let owner = try shop.connect("shop_owner")
    try owner.prepare("d", "DELETE FROM shop.orders WHERE id = $1::int")
    for id in 1...4 { #expect(try owner.execute("d", "\(id)").affected == 1) }
  }

  /// With a plan for any parameters, too: an optional filter that is given is a condition.
  @Test func optionalFilterPasses() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("SET plan_cache_mode = force_generic_plan")
    try owner.prepare("d", "DELETE FROM shop.orders WHERE $1::int IS NULL OR id = $1")
    #expect(try owner.execute("d", "1").affected == 1)
  }

  /// The index tells that the condition holds, so that nobody has to ask again.
  @Test func conditionThatAnIndexImpliesPasses() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE INDEX ON shop.orders (total) WHERE total > 25; SET enable_seqscan = off")
    #expect(try owner.query("DELETE FROM shop.orders WHERE total > 25").affected == 2)
  }

  @Test func currentOfPasses() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM shop.orders ORDER BY id FOR UPDATE; FETCH c")
    #expect(try owner.query("DELETE FROM shop.orders WHERE CURRENT OF c").affected == 1)
  }

  @Test func plainExplainIsAllowedAndDeletesNothing() throws {
    let before = try shop.contents()
    #expect(try shop.connect("shop_owner").query("EXPLAIN DELETE FROM shop.orders").text.contains("Delete on orders"))
    #expect(try shop.contents() == before)
  }

  @Test func superuserIsBound() throws {
    let superuser = try shop.connect()
    try shop.expectRefusal(of: "DELETE FROM shop.orders", by: "whole-table-dml", on: superuser)
    try shop.expectRefusal(of: "DROP TABLE shop.parcels", by: "destructive-ddl", sqlstate: "WD001", on: superuser)
  }

  @Test func temporaryTablesAreFree() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE TEMP TABLE t (a int, b int); INSERT INTO t VALUES (1, 1)")
    #expect(try owner.query("UPDATE t SET a = 2").affected == 1)
    #expect(try owner.query("DELETE FROM t").affected == 1)
    try owner.query("TRUNCATE t")
    try owner.query("ALTER TABLE t DROP COLUMN b")
    try owner.query("DROP TABLE t")
  }
}

// MARK: - Destructive DDL

extension ServerTests.GuardTests {
  static let destructive = [
    Scenario("DROP TABLE", "DROP TABLE shop.parcels"),
    Scenario("DROP TABLE IF EXISTS", "DROP TABLE IF EXISTS shop.parcels"),
    Scenario("DROP TABLE … CASCADE", "DROP TABLE shop.customers CASCADE"),
    Scenario("DROP TABLE of a partition", "DROP TABLE shop.events_january"),
    Scenario("DROP VIEW", "DROP VIEW shop.all_orders"),
    Scenario("DROP SCHEMA … CASCADE", "DROP SCHEMA shop CASCADE"),
    Scenario("DROP OWNED", "DROP OWNED BY shop_owner"),
    Scenario("DROP COLUMN", "ALTER TABLE shop.orders DROP COLUMN note"),
    Scenario(
      "DROP TYPE taking a column",
      setup: "CREATE TYPE shop.mood AS ENUM ('ok'); ALTER TABLE shop.parcels ADD mood shop.mood",
      "DROP TYPE shop.mood CASCADE"),
    Scenario("TRUNCATE", "TRUNCATE shop.parcels"),
    Scenario("TRUNCATE … CASCADE", "TRUNCATE shop.customers CASCADE"),
    Scenario("TRUNCATE of a partition", "TRUNCATE shop.events_january"),
    Scenario("DO with dynamic SQL", "DO $$BEGIN EXECUTE 'DROP TA' || 'BLE shop.parcels'; END$$"),
    Scenario(
      "function",
      setup: "CREATE FUNCTION shop.f() RETURNS void LANGUAGE plpgsql AS 'BEGIN TRUNCATE shop.parcels; END'",
      "SELECT shop.f()"),
  ]

  @Test(arguments: destructive) func destructiveDDLNeedsApproval(_ scenario: Scenario) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(scenario.setup)
    try shop.expectRefusal(of: scenario.sql, by: "destructive-ddl", sqlstate: "WD001", on: owner)
    #expect(try shop.admin.query("SELECT to_regclass('shop.all_orders')").value != nil)
  }

  @Test func refusalSaysWhatAndWhy() throws {
    let owner = try shop.connect("shop_owner")
    let drop = try #require(owner.error("DROP TABLE shop.parcels"))
    #expect(drop.message.contains("DROP TABLE") && drop.message.contains("shop.parcels"))
    #expect(drop.detail.contains("destructive-ddl") && !drop.hint.isEmpty)
    let delete = try #require(owner.error("DELETE FROM shop.orders"))
    #expect(delete.message.contains("DELETE") && delete.message.contains("shop.orders"))
    #expect(delete.hint.contains("WHERE"))
  }

  @Test func transactionGoesOnAfterSavepoint() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("BEGIN; INSERT INTO shop.parcels VALUES (3, 9); SAVEPOINT s")
    #expect(owner.error("DROP TABLE shop.parcels")?.sqlstate == "WD001")
    #expect(owner.error("SELECT 1")?.sqlstate == "25P02")
    try owner.query("ROLLBACK TO s; INSERT INTO shop.parcels VALUES (4, 9); COMMIT")
    #expect(try owner.query("SELECT count(*) FROM shop.parcels").value == "4")
  }

  @Test func refusalSwallowedInALoopStaysARefusal() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      DO $$BEGIN FOR i IN 1..3 LOOP
        BEGIN DROP TABLE shop.parcels; EXCEPTION WHEN OTHERS THEN NULL; END;
      END LOOP; END$$
      """)
    #expect(try owner.query("SELECT count(*) FROM shop.parcels").value == "2")
    #expect(try shop.audit(where: "guard = 'destructive-ddl' AND outcome = 'blocked'").count == 3)
  }
}

// MARK: - Escapes to the server

extension ServerTests.GuardTests {
  static let escapes = [
    Scenario("COPY TO PROGRAM", "COPY shop.orders TO PROGRAM 'cat > DIRECTORY/escaped'"),
    Scenario("COPY FROM PROGRAM", "COPY shop.parcels FROM PROGRAM 'echo 9,9' CSV"),
    Scenario("COPY of a query TO PROGRAM", "COPY (SELECT 1) TO PROGRAM 'cat > DIRECTORY/escaped'"),
    Scenario("COPY to a file", "COPY shop.orders TO 'DIRECTORY/escaped'"),
    Scenario("COPY from a file", "COPY shop.parcels FROM '/etc/hostname'"),
    Scenario("COPY of a temporary table", setup: "CREATE TEMP TABLE t (a int)", "COPY t TO 'DIRECTORY/escaped'"),
    Scenario("ALTER SYSTEM", "ALTER SYSTEM SET work_mem = '77MB'"),
    Scenario("LOAD", "LOAD 'auto_explain'"),
    Scenario("CREATE EXTENSION", "CREATE EXTENSION pg_trgm"),
    Scenario("in DO", "DO $$BEGIN COPY shop.orders TO PROGRAM 'cat > DIRECTORY/escaped'; END$$"),
  ]

  @Test(arguments: escapes) func serverEscapeIsRefused(_ scenario: Scenario) throws {
    let superuser = try shop.connect()
    try superuser.query(scenario.setup)
    let sql = scenario.sql.replacingOccurrences(of: "DIRECTORY", with: shop.cluster.path(""))
    try shop.expectRefusal(of: sql, by: "server-escape", on: superuser)
    #expect(!FileManager.default.fileExists(atPath: shop.cluster.path("escaped")))
    let settings = try String(contentsOfFile: shop.cluster.data + "/postgresql.auto.conf", encoding: .utf8)
    #expect(!settings.contains("77MB"))
  }
}

// MARK: - Guards that users make

extension ServerTests.GuardTests {
  /// As the superuser, in a session of its own; committed when this returns.
  private func makeGuard(_ arguments: String) throws {
    try shop.connect().query("SELECT warden.guard(\(arguments))")
  }

  @Test func guardOnTableHoldsForThatTable() throws {
    try makeGuard("'no-order-deletes', 'block', '{delete}', '{shop.orders}'")
    let owner = try shop.connect("shop_owner")
    try shop.expectRefusal(of: "DELETE FROM shop.orders WHERE id = 1", by: "no-order-deletes", on: owner)
    #expect(try owner.query("DELETE FROM shop.parcels WHERE id = 1").affected == 1)
    #expect(try owner.query("UPDATE shop.orders SET total = 1 WHERE id = 1").affected == 1)
  }

  @Test func guardOnSchemaHoldsForItsTables() throws {
    try makeGuard("'read-only', 'block', '{write}', '{shop.*}'")
    let owner = try shop.connect("shop_owner")
    for sql in [
      "INSERT INTO shop.parcels VALUES (9, 9)", "UPDATE shop.orders SET total = 1 WHERE id = 1",
      "DELETE FROM shop.parcels WHERE id = 1", "INSERT INTO shop.orders VALUES (1, 1, 1) ON CONFLICT DO NOTHING",
    ] {
      try shop.expectRefusal(of: sql, by: "read-only", on: owner)
    }
    #expect(owner.error("SELECT * FROM shop.orders") == nil)
    #expect(try owner.query("UPDATE legacy.people SET note = 'x' WHERE id = 1").affected == 1)
  }

  @Test func guardFollowsRename() throws {
    try makeGuard("'no-order-deletes', 'block', '{delete}', '{shop.orders}'")
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.parcels RENAME TO bundles; ALTER TABLE shop.orders RENAME TO purchases")
    #expect(owner.error("DELETE FROM shop.purchases WHERE id = 1")?.detail.contains("no-order-deletes") == true)
    try owner.query("ALTER TABLE shop.bundles RENAME TO parcels; ALTER TABLE shop.purchases RENAME TO orders")
  }

  @Test func guardOnParentHoldsForPartitions() throws {
    try makeGuard("'keep-events', 'block', '{delete}', '{shop.events}'")
    let owner = try shop.connect("shop_owner")
    try shop.expectRefusal(of: "DELETE FROM shop.events_january WHERE id = 1", by: "keep-events", on: owner)
  }

  @Test func upsertAndMergeAreWhatTheyDo() throws {
    let owner = try shop.connect("shop_owner")
    try makeGuard("'no-updates', 'block', '{update}', '{shop.orders}'")
    try shop.expectRefusal(
      of: "INSERT INTO shop.orders VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET total = 0", by: "no-updates",
      on: owner)
    try makeGuard("'no-deletes', 'block', '{delete}', '{shop.orders}'")
    try shop.expectRefusal(
      of: "MERGE INTO shop.orders o USING (VALUES (1)) v (id) ON v.id = o.id WHEN MATCHED THEN DELETE",
      by: "no-deletes", on: owner)
  }

  @Test func guardIsForARoleItsMembersAndWhoBecomesIt() throws {
    try makeGuard("'agents-read', 'block', '{write}', '{*}', '{role:agents}'")
    let update = "UPDATE shop.orders SET total = 1 WHERE id = 1"
    let copilot = try shop.connect("copilot")
    try shop.expectRefusal(of: update, by: "agents-read", on: copilot)
    // A member that puts on another role stays who it is.
    try copilot.query("SET ROLE analyst")
    try shop.expectRefusal(of: update, by: "agents-read", on: copilot)

    let superuser = try shop.connect()
    #expect(try superuser.query(update).affected == 1)
    try superuser.query("SET ROLE copilot")
    try shop.expectRefusal(of: update, by: "agents-read", on: superuser)
    #expect(try shop.connect("analyst").query(update).affected == 1)
  }

  @Test func guardSaysItsMessage() throws {
    try makeGuard("'frozen', 'block', '{insert}', '{shop.*}', message => 'Stocktaking until Monday'")
    let error = try shop.connect("shop_owner").error("INSERT INTO shop.parcels VALUES (9, 9)")
    #expect(error?.detail.contains("Stocktaking until Monday") == true)
  }

  @Test func commandTagIsAClass() throws {
    try makeGuard("'no-index', 'block', '{CREATE INDEX}'")
    try shop.expectRefusal(
      of: "CREATE INDEX ON shop.orders (note)", by: "no-index", on: try shop.connect("shop_owner"))
    #expect(try shop.connect("shop_owner").error("CREATE TABLE shop.other (a int)") == nil)
  }

  @Test func sameNameReplacesAndUnguardRemoves() throws {
    let owner = try shop.connect("shop_owner")
    try makeGuard("'g', 'block', '{insert}', '{shop.parcels}'")
    try makeGuard("'g', 'block', '{delete}', '{shop.parcels}'")
    #expect(try owner.query("INSERT INTO shop.parcels VALUES (3, 3)").affected == 1)
    try shop.expectRefusal(of: "DELETE FROM shop.parcels WHERE id = 3", by: "g", on: owner)
    #expect(try shop.admin.query("SELECT count(*) FROM warden.guards WHERE name = 'g'").value == "1")
    #expect(try shop.connect().query("SELECT warden.unguard('g')").value == "t")
    #expect(try owner.query("DELETE FROM shop.parcels WHERE id = 3").affected == 1)
    #expect(try shop.connect().query("SELECT warden.unguard('g')").value == "f")
  }

  @Test func highestPriorityDecides() throws {
    let owner = try shop.connect("shop_owner")
    try makeGuard("'freeze', 'block', '{update}', '{shop.*}', priority => 1")
    try makeGuard("'owner-may', 'allow', '{update,delete,drop}', '{shop.*}', '{role:shop_owner}', priority => 5")
    #expect(try owner.query("UPDATE shop.orders SET total = 1").affected == 4)
    try owner.query("DROP TABLE shop.parcels")
    try owner.query("CREATE TABLE shop.parcels (id int)")
    let analyst = try shop.connect("analyst")
    try shop.expectRefusal(of: "UPDATE shop.orders SET total = 2 WHERE id = 1", by: "freeze", on: analyst)
  }

  @Test func alertLetsTheStatementRun() throws {
    try makeGuard("'watch', 'alert', '{delete}', '{shop.orders}'")
    #expect(try shop.connect("shop_owner").query("DELETE FROM shop.orders WHERE id = 1").affected == 1)
    #expect(try shop.audit(where: "guard = 'watch'").isEmpty == false)
  }

  static let badArguments = [
    ("'g', 'forbid', '{insert}'", "forbid"),
    ("'g', 'block', '{insrt}'", "insrt"),
    ("'g', 'block', '{insert}', '{no dots}'", "no dots"),
    ("'g', 'block', '{insert}', '{*}', '{somebody}'", "somebody"),
  ]

  @Test(arguments: badArguments) func badArgumentIsNamed(_ arguments: String, _ named: String) throws {
    let error = try #require(try shop.connect().error("SELECT warden.guard(\(arguments))"))
    #expect(error.sqlstate == "22023" || error.sqlstate == "42704")
    #expect(error.text.contains(named))
  }

  @Test func guardsAreForPolicyAdmins() throws {
    #expect(try shop.connect("analyst").error("SELECT warden.guard('g', 'allow', '{all}')")?.sqlstate == "42501")
    #expect(try shop.connect("shop_owner").error("SELECT warden.unguard('destructive-ddl')")?.sqlstate == "42501")
    #expect(try shop.connect("policy_admin").error("SELECT warden.guard('g', 'block', '{role}')") == nil)
  }
}

// MARK: - When a guard is in force

extension ServerTests.GuardTests {
  private static let noDeletes = "SELECT warden.guard('no-deletes', 'block', '{delete}', '{shop.orders}')"

  @Test func guardIsInForceElsewhereAfterCommitOnly() throws {
    let maker = try shop.connect()
    let other = try shop.connect("shop_owner")
    #expect(try other.query("DELETE FROM shop.orders WHERE id = 1").affected == 1)
    try maker.query("BEGIN; \(Self.noDeletes)")
    #expect(try other.query("DELETE FROM shop.orders WHERE id = 2").affected == 1)
    try maker.query("COMMIT")
    try shop.expectRefusal(of: "DELETE FROM shop.orders WHERE id = 3", by: "no-deletes", on: other)
  }

  @Test func guardRolledBackNeverWas() throws {
    let maker = try shop.connect()
    let other = try shop.connect("shop_owner")
    try maker.query("BEGIN; \(Self.noDeletes); ROLLBACK")
    #expect(try other.query("DELETE FROM shop.orders WHERE id = 1").affected == 1)
    #expect(try maker.query("DELETE FROM shop.orders WHERE id = 2").affected == 1)
    try maker.query("BEGIN; SAVEPOINT s; \(Self.noDeletes); ROLLBACK TO s; COMMIT")
    #expect(try maker.query("DELETE FROM shop.orders WHERE id = 3").affected == 1)
  }

  /// By what it takes: the policy is loaded once, not after each of them.
  @Test func manyGuardsMadeByOneStatementAreLoadedOnce() throws {
    let maker = try shop.connect()
    let loads = "SELECT value::int FROM warden.status() WHERE name = 'policy generation'"
    let before = try #require(Int(try maker.query(loads).value ?? ""))
    try maker.query(
      """
      SELECT warden.guard('many_' || i, 'block', '{delete}', ARRAY['shop.many_' || i, 'shop.orders.id'])
      FROM generate_series(1, 200) i
      """)
    let after = try #require(Int(try maker.query(loads).value ?? ""))
    #expect(after == before + 1)
    try shop.expectRefusal(of: "DELETE FROM shop.orders WHERE id = 1", by: "many_1", on: shop.connect("shop_owner"))
  }

  @Test func statementPreparedBeforeTheGuardIsRefused() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("PREPARE d AS DELETE FROM shop.orders WHERE id = $1")
    try owner.prepare("d2", "DELETE FROM shop.orders WHERE id = $1::int")
    #expect(try owner.query("EXECUTE d(1)").affected == 1)
    #expect(try owner.execute("d2", "2").affected == 1)
    try shop.connect().query(Self.noDeletes)
    try shop.expectRefusal(of: "EXECUTE d(3)", by: "no-deletes", on: owner)
    #expect(throws: ServerError.self) { try owner.execute("d2", "3") }
    #expect(try shop.admin.query("SELECT count(*) FROM shop.orders").value == "2")
  }

  @Test func planCachedInAFunctionIsRefused() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE FUNCTION shop.f(i int) RETURNS void LANGUAGE plpgsql AS
      'BEGIN DELETE FROM shop.orders WHERE id = i; END'
      """)
    // More than five times, so that the plan is a generic one.
    for _ in 1...8 { try owner.query("SELECT shop.f(1)") }
    try shop.connect().query(Self.noDeletes)
    try shop.expectRefusal(of: "SELECT shop.f(2)", by: "no-deletes", on: owner)
  }
}
