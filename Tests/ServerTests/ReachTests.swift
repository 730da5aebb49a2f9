import CLibpq
import Testing

extension ServerTests {
  /// What statements touch, by whatever road they reach it.
  @Suite struct ReachTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "reaches")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }
  }
}

extension Shop {
  /// What the records under the condition touched: `read shop.orders{id,total} via view shop.v`.
  func touched(where condition: String) throws -> [String] {
    let numbers = try audit(where: condition).compactMap { $0["seq"] }
    guard !numbers.isEmpty else { return [] }
    return try admin.query(
      """
      SELECT DISTINCT action || ' ' || relation || COALESCE(nullif(columns::text, '{}'), '') || COALESCE(' via ' || via, '')
        FROM warden.audit_access WHERE seq IN (\(numbers.joined(separator: ","))) ORDER BY 1
      """
    ).rows.compactMap { $0.first ?? nil }
  }
}

/// Guards are lifted: what would be refused is done, and recorded all the same.
private func unguarded(_ shop: Shop) throws -> Connection {
  let superuser = try shop.connect()
  try superuser.query("SELECT warden.break_glass('the test drops what it made')")
  return superuser
}

// MARK: - Cascades

extension ServerTests.ReachTests {
  @Test func cascadeOfADropIsNamed() throws {
    let superuser = try unguarded(shop)
    try superuser.query("DROP TABLE shop.customers CASCADE")
    let touched = try shop.touched(where: "command = 'DROP TABLE'")
    #expect(touched.contains("drop shop.customers"))
    #expect(touched.contains("drop shop.customers_pkey"))
    #expect(touched.contains("drop orders_customer_id_fkey on shop.orders"))
    #expect(!touched.contains { $0.contains("pg_toast") || $0.contains("customers_pkey on") }, "\(touched)")
  }

  @Test func cascadeOfASchemaIsNamedThoughItFails() throws {
    let owner = try shop.connect("shop_owner")
    #expect(owner.error("BEGIN; DROP OWNED BY shop_owner CASCADE")?.sqlstate == "WD001")
    try owner.query("ROLLBACK")
    let touched = try shop.touched(where: "command = 'DROP OWNED'")
    #expect(touched.contains { $0.hasPrefix("drop shop.") }, "\(touched)")
    #expect(try shop.audit(where: "command = 'DROP OWNED' AND outcome = 'blocked' AND sqlstate = 'WD001'").count == 1)
  }

  @Test func droppedTypeTakesAColumn() throws {
    let superuser = try unguarded(shop)
    try superuser.query("CREATE TYPE lab.mood AS ENUM ('fine'); CREATE TABLE lab.people (id int, mood lab.mood)")
    try superuser.query("DROP TYPE lab.mood CASCADE")
    #expect(try shop.touched(where: "command = 'DROP TYPE'") == ["alter lab.people{mood}", "drop lab.mood"])
  }

  @Test func truncatedChildrenAreNamed() throws {
    try unguarded(shop).query("TRUNCATE shop.customers CASCADE")
    #expect(
      try shop.touched(where: "command = 'TRUNCATE TABLE'") == ["truncate shop.customers", "truncate shop.orders"])
  }

  @Test func extensionDropsItsMembers() throws {
    let superuser = try unguarded(shop)
    try superuser.query("CREATE EXTENSION citext SCHEMA lab")
    try superuser.query("DROP EXTENSION citext")
    let touched = try shop.touched(where: "command = 'DROP EXTENSION'")
    #expect(touched.contains("drop citext") && touched.contains("drop lab.citext"), "\(touched)")
    #expect(touched.contains("drop lab.citextin") && touched.count > 70, "\(touched.count) objects")
    // The script's statements are children; what they made is not told twice.
    let creation = try shop.audit(where: "command = 'CREATE EXTENSION'")
    #expect(try shop.touched(where: "command = 'CREATE EXTENSION'") == ["create citext"])
    let parent = creation.first?["statement_no"] ?? ""
    #expect(try shop.audit(where: "event = 'statement' AND parent_no = \(parent)").count > 50)
    try shop.expectUnbrokenChain()
  }

  @Test func thousandsOfObjectsAreAllNamed() throws {
    let superuser = try unguarded(shop)
    try superuser.query(
      """
      CREATE SCHEMA crowd; SET warden.intent = 'crowd';
      DO $$BEGIN FOR i IN 1 .. 500 LOOP EXECUTE format('CREATE TABLE crowd.%s_%s ()', repeat('t', 50), i); END LOOP; END$$
      """)
    try superuser.query("DROP SCHEMA crowd CASCADE")
    #expect(try shop.touched(where: "command = 'DROP SCHEMA'").count == 501)
    try shop.expectUnbrokenChain()
  }
}

// MARK: - DDL

extension ServerTests.ReachTests {
  @Test func createdTableIsNamedWithItsIndexesAndSequences() throws {
    try shop.connect("shop_owner").query("CREATE TABLE shop.made (id serial PRIMARY KEY, code text UNIQUE)")
    let touched = try shop.touched(where: "command = 'CREATE TABLE'")
    #expect(
      touched == [
        "create shop", "create shop.made", "create shop.made_code_key", "create shop.made_id_seq",
        "create shop.made_pkey",
      ])
  }

  @Test func elementsOfASchemaAndCopiesOfQueriesAreNamed() throws {
    let superuser = try shop.connect()
    try superuser.query("CREATE SCHEMA made_here CREATE TABLE a (i int) CREATE VIEW v AS SELECT * FROM a")
    #expect(
      try shop.touched(where: "command = 'CREATE SCHEMA'") == [
        "create made_here", "create made_here.a", "create made_here.v",
      ])
    try superuser.query("CREATE TABLE made_here.copy AS SELECT id FROM shop.orders")
    #expect(try shop.touched(where: "command = 'CREATE TABLE AS'").contains("create made_here.copy"))
    try unguarded(shop).query("DROP SCHEMA made_here CASCADE")
  }

  @Test func alteredObjectsAreNamed() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE FUNCTION shop.old() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    try owner.query("ALTER FUNCTION shop.old() RENAME TO fresh")
    #expect(try shop.touched(where: "command = 'ALTER FUNCTION'") == ["alter shop.old"])
    try owner.query("CREATE POLICY own ON shop.orders USING (true)")
    #expect(try shop.touched(where: "command = 'CREATE POLICY'").contains("create own on shop.orders"))
  }
}

// MARK: - Partitions

extension ServerTests.ReachTests {
  @Test func partitionsThatRowsWentToAreNamed() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("INSERT INTO shop.events VALUES (10, '2026-01-15', 'a'), (11, '2026-01-16', 'b')")
    #expect(
      try shop.touched(where: "command = 'INSERT'") == [
        "insert shop.events_january", "insert shop.events{id,day,email}",
      ])
    try owner.query("UPDATE shop.events_january SET id = 12 WHERE id = 10")
    try owner.query("UPDATE shop.events SET day = '2026-02-15' WHERE id = 11")
    #expect(try shop.touched(where: "statement LIKE '%2026-02-15%'").contains { $0.contains("events_february") })
  }

  @Test func partitionsThatCopyWroteToAreNamed() throws {
    let owner = try shop.connect("shop_owner")
    try owner.copyIn("COPY shop.events FROM STDIN", "20\t2026-02-03\tx\n")
    #expect(
      try shop.touched(where: "command = 'COPY'") == [
        "insert shop.events_february", "insert shop.events{id,day,email}",
      ])
    // Locked by an earlier statement of the transaction: what counts is what was written now.
    try owner.query("BEGIN; INSERT INTO shop.events VALUES (21, '2026-02-04', 'y')")
    try owner.copyIn("COPY shop.events (id, day) FROM STDIN", "22\t2026-01-03\n")
    try owner.query("COMMIT")
    #expect(
      try shop.touched(where: "command = 'COPY' AND statement LIKE '%(id, day)%'") == [
        "insert shop.events_january", "insert shop.events{id,day}",
      ])
  }
}

// MARK: - Functions

extension ServerTests.ReachTests {
  private func makeFunctions(_ connection: Connection) throws {
    try connection.query(
      """
      CREATE FUNCTION shop.inner_one(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN i + 1; END';
      CREATE FUNCTION shop.outer_one() RETURNS int LANGUAGE plpgsql AS
        'DECLARE x int; BEGIN x := shop.inner_one(1); PERFORM id FROM shop.orders WHERE id = 1; RETURN x; END';
      CREATE FUNCTION shop.secdef() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT count(id) FROM shop.orders';
      CREATE PROCEDURE shop.procedure_one() LANGUAGE plpgsql AS
        'BEGIN INSERT INTO shop.parcels VALUES (90, 1); COMMIT; UPDATE shop.parcels SET weight = 2 WHERE id = 90; END';
      """)
  }

  @Test func functionsOfAStatementAreInItsRecord() throws {
    let owner = try shop.connect("shop_owner")
    try makeFunctions(owner)
    try owner.query("SELECT shop.outer_one() AS first_call")
    #expect(
      try shop.touched(where: "statement LIKE '%first_call'") == [
        "execute shop.inner_one via function shop.outer_one()", "execute shop.outer_one",
      ])
    #expect(
      try shop.touched(where: "statement LIKE 'SELECT id FROM shop.orders%'") == [
        "read shop.orders{id} via function shop.outer_one()"
      ])
    // A built-in function is no object that anybody asks for.
    try owner.query("SELECT lower('A') AS second_call")
    #expect(try shop.touched(where: "statement LIKE '%second_call'") == [])
  }

  @Test func securityDefinerIsNamedWithTheSessionsRole() throws {
    try makeFunctions(shop.connect("shop_owner"))
    let clerk = try shop.connect("clerk")
    try clerk.query("SELECT shop.secdef()")
    let inner = try shop.audit(where: "session_user_name = 'clerk' AND parent_no IS NOT NULL")
    #expect(inner.count == 1 && inner.first?["role_name"] == "clerk")
    #expect(
      try shop.touched(where: "session_user_name = 'clerk' AND parent_no IS NOT NULL") == [
        "read shop.orders{id} via function shop.secdef()"
      ])
  }

  @Test func proceduresDoBlocksAndTriggersNameTheirFunctions() throws {
    let owner = try shop.connect("shop_owner")
    try makeFunctions(owner)
    try owner.query("CALL shop.procedure_one()")
    #expect(try shop.touched(where: "command = 'CALL'") == ["execute shop.procedure_one"])
    #expect(
      try shop.touched(where: "command = 'UPDATE'").allSatisfy { $0.hasSuffix("via procedure shop.procedure_one()") })
    let call = try #require(try shop.audit(where: "command = 'CALL'").first)
    #expect(try shop.audit(where: "command = 'UPDATE'").first?["parent_no"] == call["statement_no"])

    try owner.query("DO $$DECLARE x int; BEGIN x := shop.inner_one(3); END$$")
    #expect(try shop.touched(where: "command = 'DO'") == ["execute shop.inner_one"])

    try owner.query(
      """
      CREATE FUNCTION shop.on_parcel() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
      CREATE TRIGGER on_parcel BEFORE INSERT ON shop.parcels FOR EACH ROW EXECUTE FUNCTION shop.on_parcel();
      INSERT INTO shop.parcels VALUES (91, 1), (92, 1)
      """)
    #expect(try shop.touched(where: "statement LIKE '%(91, 1)%'").contains("execute shop.on_parcel"))
  }

  @Test func stackOfFunctionsSurvivesErrors() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE FUNCTION shop.fails() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
      CREATE FUNCTION shop.catches() RETURNS int LANGUAGE plpgsql AS
        'BEGIN RETURN shop.fails(); EXCEPTION WHEN OTHERS THEN PERFORM id FROM shop.orders; RETURN 0; END'
      """)
    try owner.query("SELECT shop.catches()")
    #expect(try shop.touched(where: "parent_no IS NOT NULL") == ["read shop.orders{id} via function shop.catches()"])
    #expect(owner.error("SELECT shop.fails()") != nil)
    try owner.query("SELECT id FROM shop.orders AS after_errors")
    #expect(try shop.touched(where: "statement LIKE '%after_errors'") == ["read shop.orders{id}"])
  }

  @Test func functionsThatThePlannerEvaluatesAreNamed() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE FUNCTION shop.constant() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'")
    try owner.query("SELECT shop.constant() AS folded")
    #expect(try shop.touched(where: "statement LIKE '%folded'") == ["execute shop.constant"])
    try owner.query("SELECT 1 AS without")
    #expect(try shop.touched(where: "statement LIKE '%without'") == [])
  }

  @Test func plainExplainExecutesNothing() throws {
    let owner = try shop.connect("shop_owner")
    try makeFunctions(owner)
    try owner.query("EXPLAIN SELECT shop.outer_one()")
    #expect(try shop.touched(where: "command = 'EXPLAIN'") == [])
    try owner.query("EXPLAIN ANALYZE SELECT shop.outer_one() AS analyzed")
    #expect(try shop.touched(where: "command = 'SELECT' AND parent_no IS NOT NULL").contains("execute shop.outer_one"))
  }

  @Test func failureBeforeExecutionIsRecordedWithItsFunctions() throws {
    let owner = try shop.connect("shop_owner")
    try makeFunctions(owner)
    try owner.query("REVOKE ALL ON FUNCTION shop.outer_one() FROM PUBLIC")
    #expect(try shop.connect("clerk").error("SELECT shop.outer_one() AS forbidden")?.sqlstate == "42501")
    let record = try shop.record(of: "AS forbidden")
    #expect(record["outcome"] == "failed" && record["sqlstate"] == "42501" && record["guard"] == nil)
    #expect(try shop.connect("clerk").error("SELECT id FROM shop.orders AS denied")?.sqlstate == "42501")
    #expect(try shop.record(of: "AS denied")["outcome"] == "failed")
    #expect(try shop.touched(where: "statement LIKE '%denied'") == ["read shop.orders{id}"])
  }

  @Test func parsedBodiesAndRulesHaveReadableText() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE FUNCTION shop.atomic() RETURNS void BEGIN ATOMIC DELETE FROM shop.orders WHERE id = 99; END;
      CREATE RULE purge AS ON INSERT TO shop.parcels DO ALSO DELETE FROM shop.orders WHERE id = 98
      """)
    try owner.query("SELECT shop.atomic()")
    let deletion = try #require(try shop.audit(where: "command = 'DELETE'").first)
    #expect(deletion["statement"]?.contains("DELETE FROM shop.orders") == true, "\(deletion)")
    #expect(try shop.touched(where: "command = 'DELETE'").contains("delete shop.orders via function shop.atomic()"))
    try owner.query("INSERT INTO shop.parcels VALUES (95, 1)")
    #expect(
      try shop.touched(where: "command = 'DELETE' AND statement LIKE 'INSERT%'") == [
        "delete shop.orders via rule purge on shop.parcels", "read shop.orders{id} via rule purge on shop.parcels",
      ])
  }
}

// MARK: - What utility statements name, and the fast path

extension ServerTests.ReachTests {
  static let utilities: [(String, [String])] = [
    ("VACUUM shop.orders", ["misc shop.orders"]),
    ("ANALYZE shop.orders, shop.parcels", ["misc shop.orders", "misc shop.parcels"]),
    ("REINDEX TABLE shop.orders", ["ddl shop.orders"]),
    ("CLUSTER shop.orders USING orders_pkey", ["ddl shop.orders"]),
    ("BEGIN; LOCK shop.orders, shop.parcels; COMMIT", ["misc shop.orders", "misc shop.parcels"]),
    ("COMMENT ON COLUMN shop.orders.note IS 'x'", ["ddl shop.orders{note}"]),
    ("COMMENT ON FUNCTION shop.util(int) IS 'x'", ["ddl shop.util"]),
    ("COMMENT ON SCHEMA shop IS 'x'", ["ddl shop"]),
    ("COMMENT ON CONSTRAINT orders_pkey ON shop.orders IS 'x'", ["ddl shop.orders"]),
    ("COMMENT ON TYPE shop.mood IS 'x'", ["ddl shop.mood"]),
    ("GRANT SELECT ON shop.orders TO clerk", ["grant shop.orders"]),
    ("GRANT EXECUTE ON FUNCTION shop.util(int) TO clerk", ["grant shop.util"]),
    ("GRANT USAGE ON SCHEMA shop TO clerk", ["grant shop"]),
    ("REVOKE ALL ON ALL TABLES IN SCHEMA shop FROM clerk", ["grant shop"]),
    ("GRANT USAGE ON TYPE shop.mood TO clerk", ["grant shop.mood"]),
    ("ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO clerk", ["alter shop"]),
    ("GRANT analyst TO clerk", ["grant analyst", "grant clerk"]),
    ("ALTER ROLE clerk SET work_mem = '5MB'", ["role clerk"]),
    ("ALTER SEQUENCE shop.numbers INCREMENT 2", ["alter shop.numbers"]),
    ("ALTER TYPE shop.mood ADD VALUE 'better'", ["alter shop.mood"]),
    ("CREATE STATISTICS shop.stats ON id, total FROM shop.orders", ["create shop.stats"]),
    ("CREATE PUBLICATION news FOR TABLE shop.orders", ["create news"]),
  ]

  @Test func utilityStatementsNameTheirObjects() throws {
    let superuser = try unguarded(shop)
    try superuser.query(
      """
      CREATE FUNCTION shop.util(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE shop.mood AS ENUM ('good');
      CREATE SEQUENCE shop.numbers
      """)
    defer { _ = superuser.error("DROP PUBLICATION news; REVOKE analyst FROM clerk; ALTER ROLE clerk RESET work_mem") }
    for (sql, expected) in Self.utilities {
      let statement = sql.split(separator: ";").map { $0.drop { $0 == " " } }.max { $0.count < $1.count } ?? ""
      try superuser.query(sql)
      let quoted = statement.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
      let touched = try shop.touched(where: "statement = '\(quoted)'")
      #expect(Set(touched).isSuperset(of: expected), "\(sql): \(touched)")
    }
  }

  @Test func namingDoesNotRefuse() throws {
    let superuser = try shop.connect()
    try superuser.query("COMMENT ON EXTENSION pg_warden IS 'ours'")
    try superuser.query("VACUUM warden.guard_policy")
    try superuser.query("GRANT warden_auditor TO auditor")
    // What is not there is the server's to complain of.
    for (sql, sqlstate) in [
      ("COMMENT ON TABLE shop.nowhere IS 'x'", "42P01"), ("GRANT SELECT ON shop.nowhere TO clerk", "42P01"),
      ("COMMENT ON FUNCTION shop.nowhere() IS 'x'", "42883"), ("REINDEX TABLE shop.nowhere", "42P01"),
      ("GRANT nobody TO clerk", "42704"), ("COMMENT ON TYPE nowhere.t IS 'x'", "3F000"),
    ] { #expect(superuser.error(sql)?.sqlstate == sqlstate, "\(sql)") }
  }

  @Test func fastPathIsRecorded() throws {
    let superuser = try shop.connect()
    let number = try #require(UInt32(try superuser.query("SELECT lo_create(0) AS made").value ?? ""))
    // The first message of a session, and one more.
    let session = try shop.connect(application: "fast path")
    #expect(session.unlinkLargeObject(number))
    #expect(!session.unlinkLargeObject(number))
    try session.query("SELECT 1 AS afterwards")
    let calls = try shop.audit(
      where: "event = 'statement' AND application_name = 'fast path' AND command = 'FUNCTION CALL'")
    #expect(calls.count == 2, "\(calls)")
    #expect(calls.map { $0["outcome"] } == ["committed", "failed"] && calls.allSatisfy { $0["class"] == "function" })
    #expect(calls.last?["sqlstate"] == "42704")
    #expect(
      try shop.touched(where: "seq = \(calls.first?["seq"] ?? "0")") == [
        "delete \(number)", "execute pg_catalog.lo_unlink",
      ])
    #expect(try shop.record(of: "AS afterwards")["parent_no"] == nil)
  }
}

// MARK: - Views, and columns

extension ServerTests.ReachTests {
  @Test func relationsBehindViewsNameTheView() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE VIEW shop.views_on_views AS SELECT id, total FROM shop.large_orders")
    try owner.query("SELECT id FROM shop.views_on_views")
    #expect(
      try shop.touched(where: "statement LIKE 'SELECT id FROM shop.views%'") == [
        "read shop.large_orders{id,total} via view shop.views_on_views",
        "read shop.orders{id,customer_id,total,note} via view shop.views_on_views",
        "read shop.views_on_views{id}",
      ])
    try owner.query("SELECT o.note, (SELECT max(id) FROM shop.all_orders) FROM shop.orders o")
    #expect(
      try shop.touched(where: "statement LIKE '%max(id)%'") == [
        "read shop.all_orders{id}", "read shop.orders{id,customer_id,total,note} via view shop.all_orders",
        "read shop.orders{note}",
      ])
    try owner.query("UPDATE shop.large_orders SET note = 'x' WHERE id = 3")
    #expect(
      try shop.touched(where: "command = 'UPDATE'").contains("update shop.orders{note} via view shop.large_orders"))
  }

  @Test func masksAndViewsShareAReference() throws {
    try shop.mask()
    try shop.connect("shop_owner").query("CREATE VIEW shop.addresses AS SELECT id, email FROM shop.customers")
    try shop.connect("shop_owner").query("GRANT SELECT ON shop.addresses TO analyst")
    let analyst = try shop.connect("analyst")
    for _ in 1...2 {
      let rows = try analyst.query("SELECT email FROM shop.addresses")
      #expect(rows.rows.count == 3 && !rows.text.contains(Shop.mark))
    }
    let numbers = try shop.audit(where: "role_name = 'analyst'").compactMap { $0["seq"] }
    let behind = try shop.admin.query(
      """
      SELECT via, 'email' = ANY (masked_columns) FROM warden.audit_access
       WHERE relation = 'shop.customers' AND seq IN (\(numbers.joined(separator: ",")))
      """)
    #expect(behind.rows == [["view shop.addresses", "t"], ["view shop.addresses", "t"]])
  }

  @Test func everyReferenceAddsItsColumns() throws {
    try shop.connect("shop_owner").query("SELECT a.id, b.note FROM shop.orders a, shop.orders b WHERE b.total > 0")
    #expect(try shop.touched(where: "command = 'SELECT'") == ["read shop.orders{id,total,note}"])
  }

  @Test(arguments: [
    "SELECT c FROM shop.customers c", "SELECT to_jsonb(c) FROM shop.customers c", "COPY shop.customers TO STDOUT",
    "SELECT query_to_xml('SELECT * FROM shop.customers', true, true, '')",
  ]) func wholeRowIsEveryColumn(_ sql: String) throws {
    try shop.connect("shop_owner").query(sql)
    #expect(
      try shop.touched(where: "event = 'statement'").contains("read shop.customers{id,name,email,phone,age,city}"))
  }

  @Test func conflictsAndJoinedUpdatesTellBothSides() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("INSERT INTO shop.parcels VALUES (1, 9) ON CONFLICT (id) DO UPDATE SET weight = excluded.weight")
    let conflict = try shop.touched(where: "command = 'INSERT'")
    #expect(conflict.contains("insert shop.parcels{id,weight}") && conflict.contains("update shop.parcels{id,weight}"))
    try owner.query("UPDATE shop.orders o SET note = c.city FROM shop.customers c WHERE c.id = o.customer_id")
    let joined = try shop.touched(where: "command = 'UPDATE'")
    #expect(joined.contains("read shop.customers{id,city}") && joined.contains("update shop.orders{note}"), "\(joined)")
  }
}
