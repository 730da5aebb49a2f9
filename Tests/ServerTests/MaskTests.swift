import Testing

extension ServerTests {
  /// Masks: by whatever road `analyst` reaches a masked column, the raw value does not come out.
  @Suite struct MaskTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "masks")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }
  }
}

// MARK: - Roads to a masked column

extension ServerTests.MaskTests {
  /// `setup` is run by the owner, `sql` by the analyst; it returns e-mail addresses.
  static let plainRoads = [
    Scenario("column", "SELECT email FROM shop.customers"),
    Scenario("star", "SELECT * FROM shop.customers"),
    Scenario("TABLE", "TABLE shop.customers"),
    Scenario("ONLY", "SELECT email FROM ONLY shop.customers"),
    Scenario("expression", "SELECT 'is ' || email FROM shop.customers"),
    Scenario("CTE", "WITH c AS (SELECT * FROM shop.customers) SELECT email FROM c"),
    Scenario("materialized CTE", "WITH c AS MATERIALIZED (SELECT * FROM shop.customers) SELECT email FROM c"),
    Scenario(
      "recursive CTE", "WITH RECURSIVE c (e) AS (SELECT email FROM shop.customers UNION SELECT e FROM c) TABLE c"),
    Scenario("subquery in FROM", "SELECT s.email FROM (SELECT * FROM shop.customers) s"),
    Scenario("scalar subquery", "SELECT (SELECT email FROM shop.customers WHERE id = 1)"),
    Scenario("array subquery", "SELECT ARRAY(SELECT email FROM shop.customers)"),
    Scenario("join", "SELECT email FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id"),
    Scenario("outer join", "SELECT email FROM shop.orders o FULL JOIN shop.customers c ON c.id = o.customer_id"),
    Scenario("join alias", "SELECT j.email FROM (shop.orders o JOIN shop.customers c ON c.id = o.customer_id) AS j"),
    Scenario("self join", "SELECT a.email FROM shop.customers a JOIN shop.customers b USING (email)"),
    Scenario(
      "LATERAL", "SELECT l.email FROM shop.orders o, LATERAL (SELECT * FROM shop.customers WHERE id = o.customer_id) l"),
    Scenario("UNION", "SELECT email FROM shop.customers UNION SELECT note FROM shop.orders"),
    Scenario("DISTINCT", "SELECT DISTINCT email FROM shop.customers"),
    Scenario("GROUP BY", "SELECT email, count(*) FROM shop.customers GROUP BY email"),
    Scenario("aggregate", "SELECT max(email), string_agg(email, ',') FROM shop.customers"),
    Scenario("window", "SELECT lag(email) OVER (ORDER BY email) FROM shop.customers"),
    Scenario("system columns", "SELECT ctid, xmin, tableoid::regclass, email FROM shop.customers"),
    Scenario("TABLESAMPLE", "SELECT email FROM shop.customers TABLESAMPLE SYSTEM (100)"),
    Scenario("FOR UPDATE", "SELECT email FROM shop.customers FOR UPDATE"),
    Scenario("FOR SHARE of one", "SELECT email FROM shop.customers c, shop.orders o WHERE c.id = 1 FOR SHARE OF c"),
    Scenario("whole row", "SELECT c FROM shop.customers c"),
    Scenario("whole row as text", "SELECT c::text FROM shop.customers c"),
    Scenario("ROW(c.*)", "SELECT ROW(c.*) FROM shop.customers c"),
    Scenario("field of the whole row", "SELECT (c).email FROM shop.customers c"),
    Scenario("to_jsonb", "SELECT to_jsonb(c) FROM shop.customers c"),
    Scenario("json_agg", "SELECT json_agg(c) FROM shop.customers c"),
    Scenario("query_to_xml", "SELECT query_to_xml('SELECT email FROM shop.customers', true, false, '')"),
    Scenario("table_to_xml", "SELECT table_to_xml('shop.customers', true, false, '')"),
    Scenario("partitioned table", "SELECT email FROM shop.events"),
    Scenario("partition by name", "SELECT email FROM shop.events_january"),
    Scenario("RETURNING", "UPDATE shop.customers SET city = 'Bari' WHERE id = 1 RETURNING email"),
    Scenario("RETURNING the whole row", "UPDATE shop.customers c SET city = 'Bari' WHERE id = 1 RETURNING c"),
    Scenario("DELETE … RETURNING", "DELETE FROM shop.events WHERE id = 1 RETURNING *"),
  ]

  static let storedRoads = [
    Scenario("CREATE TABLE AS", "CREATE TABLE lab.copy AS SELECT * FROM shop.customers; SELECT * FROM lab.copy"),
    Scenario("CREATE TEMP TABLE AS", "CREATE TEMP TABLE copy AS TABLE shop.customers; SELECT * FROM copy"),
    Scenario("SELECT INTO", "SELECT * INTO TEMP copy FROM shop.customers; SELECT * FROM copy"),
    Scenario(
      "CREATE MATERIALIZED VIEW",
      "CREATE MATERIALIZED VIEW lab.copy AS SELECT email FROM shop.customers; SELECT * FROM lab.copy"),
    Scenario(
      "REFRESH MATERIALIZED VIEW",
      """
      CREATE MATERIALIZED VIEW lab.copy AS SELECT email FROM shop.customers WITH NO DATA;
      REFRESH MATERIALIZED VIEW lab.copy; SELECT * FROM lab.copy
      """),
    Scenario(
      "INSERT … SELECT",
      "CREATE TABLE lab.copy (e text); INSERT INTO lab.copy SELECT email FROM shop.customers; TABLE lab.copy"),
    Scenario(
      "UPDATE … FROM",
      """
      CREATE TABLE lab.copy AS SELECT 1 AS id, 'x' AS e;
      UPDATE lab.copy p SET e = c.email FROM shop.customers c WHERE c.id = p.id; TABLE lab.copy
      """),
    Scenario("cursor", "DECLARE c CURSOR FOR SELECT email FROM shop.customers; FETCH ALL c"),
    Scenario("holdable cursor", "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM shop.customers; FETCH ALL c"),
    Scenario("PREPARE", "PREPARE p AS SELECT email FROM shop.customers; EXECUTE p"),
    Scenario(
      "CREATE TABLE AS EXECUTE",
      "PREPARE p AS SELECT email FROM shop.customers; CREATE TEMP TABLE copy AS EXECUTE p; TABLE copy"),
    Scenario("COPY of the table", "COPY shop.customers TO STDOUT"),
    Scenario("COPY of columns", "COPY shop.customers (id, email) TO STDOUT"),
    Scenario("COPY as CSV", "COPY shop.customers TO STDOUT (FORMAT csv, HEADER)"),
    Scenario("COPY of a query", "COPY (SELECT email FROM shop.customers) TO STDOUT"),
    Scenario("COPY of a partition", "COPY shop.events_january TO STDOUT"),
    Scenario("view of one's own", "CREATE VIEW lab.v AS SELECT email FROM shop.customers; SELECT * FROM lab.v"),
    Scenario(
      "function of one's own",
      "CREATE FUNCTION pg_temp.f() RETURNS SETOF text LANGUAGE sql AS 'SELECT email FROM shop.customers'; SELECT pg_temp.f()"
    ),
    Scenario(
      "DO",
      """
      CREATE TEMP TABLE copy (e text);
      DO $$DECLARE r record; BEGIN
        FOR r IN SELECT email FROM shop.customers LOOP INSERT INTO copy VALUES (r.email); END LOOP; END$$;
      TABLE copy
      """),
    Scenario(
      "RAISE",
      """
      CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE plpgsql AS
      'DECLARE e text; BEGIN SELECT email INTO e FROM shop.customers WHERE id = 1; RETURN e; END';
      SELECT pg_temp.f()
      """),
  ]

  static let ownersRoads = [
    Scenario("view", setup: "CREATE VIEW shop.v AS SELECT * FROM shop.customers", "SELECT email FROM shop.v"),
    Scenario(
      "view over a view",
      setup: "CREATE VIEW shop.w AS SELECT * FROM shop.customers; CREATE VIEW shop.v AS SELECT email FROM shop.w",
      "SELECT * FROM shop.v"),
    Scenario(
      "security_invoker view",
      setup: "CREATE VIEW shop.v WITH (security_invoker) AS SELECT * FROM shop.customers", "SELECT email FROM shop.v"),
    Scenario(
      "security_barrier view",
      setup: "CREATE VIEW shop.v WITH (security_barrier) AS SELECT * FROM shop.customers WHERE id > 0",
      "SELECT email FROM shop.v"),
    Scenario(
      "COPY of a view's query", setup: "CREATE VIEW shop.v AS SELECT email FROM shop.customers",
      "COPY (TABLE shop.v) TO STDOUT"),
    Scenario(
      "SQL function, inlined",
      setup: "CREATE FUNCTION shop.f() RETURNS SETOF text STABLE LANGUAGE sql AS 'SELECT email FROM shop.customers'",
      "SELECT * FROM shop.f()"),
    Scenario(
      "SQL function, scalar",
      setup:
        "CREATE FUNCTION shop.f(i int) RETURNS text STABLE LANGUAGE sql AS 'SELECT email FROM shop.customers WHERE id = i'",
      "SELECT shop.f(id) FROM shop.orders"),
    Scenario(
      "SQL function, BEGIN ATOMIC",
      setup:
        "CREATE FUNCTION shop.f() RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC SELECT email FROM shop.customers; END",
      "SELECT * FROM shop.f()"),
    Scenario(
      "plpgsql function",
      setup: """
        CREATE FUNCTION shop.f() RETURNS SETOF text LANGUAGE plpgsql AS
        'BEGIN RETURN QUERY SELECT email FROM shop.customers; END'
        """, "SELECT shop.f()"),
    Scenario(
      "SECURITY DEFINER, SQL",
      setup:
        "CREATE FUNCTION shop.f() RETURNS SETOF text SECURITY DEFINER LANGUAGE sql AS 'SELECT email FROM shop.customers'",
      "SELECT * FROM shop.f()"),
    Scenario(
      "SECURITY DEFINER, plpgsql with dynamic SQL",
      setup: """
        CREATE FUNCTION shop.f() RETURNS SETOF text SECURITY DEFINER LANGUAGE plpgsql AS
        'BEGIN RETURN QUERY EXECUTE ''SELECT email FROM shop.customers''; END'
        """, "SELECT shop.f()"),
    Scenario(
      "INHERITS child by name",
      setup: """
        CREATE TABLE shop.vip () INHERITS (shop.customers);
        INSERT INTO shop.vip VALUES (9, 'Ali RAWMARK', 'aliRAWMARK@raw.example', '+9RAWMARK9', 49, 'Nice')
        """, "SELECT email FROM shop.vip"),
    Scenario(
      "partition attached later",
      setup: """
        CREATE TABLE shop.events_march PARTITION OF shop.events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
        INSERT INTO shop.events VALUES (9, '2026-03-09', 'aRAWMARK9@raw.example')
        """, "SELECT email FROM shop.events_march"),
    Scenario(
      "row security that reads the column",
      setup: """
        ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON shop.orders USING ((SELECT email FROM shop.customers c WHERE c.id = customer_id) LIKE 'a%')
        """, "SELECT o.id, c.email FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id"),
  ]

  /// legacy.people has a dropped column.
  static let legacyRoads = [
    Scenario("dropped column", "SELECT * FROM legacy.people"),
    Scenario("whole row with a dropped column", "SELECT p FROM legacy.people p"),
    Scenario("to_jsonb with a dropped column", "SELECT to_jsonb(p) FROM legacy.people p"),
    Scenario("RETURNING with a dropped column", "UPDATE legacy.people SET note = 'x' WHERE id = 1 RETURNING *"),
    Scenario("COPY with a dropped column", "COPY legacy.people TO STDOUT"),
  ]

  @Test(arguments: plainRoads + storedRoads + ownersRoads)
  func noRoadShowsTheRawValue(_ scenario: Scenario) throws {
    try expectMasked(scenario)
  }

  @Test(arguments: legacyRoads) func noRoadPastADroppedColumnShowsTheRawValue(_ scenario: Scenario) throws {
    try shop.admin.query("SELECT warden.mask('legacy.people.email', 'email')")
    try expectMasked(scenario)
  }

  private func expectMasked(_ scenario: Scenario) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(scenario.setup)
    try shop.admin.query("GRANT ALL ON ALL TABLES IN SCHEMA shop TO analyst")

    // The owner gets the raw value by the same road: so there is something to hide.
    try owner.query("BEGIN")
    #expect(try owner.query(scenario.sql).text.contains(Shop.mark))
    try owner.query("ROLLBACK")

    let analyst = try shop.connect("analyst")
    try analyst.query("BEGIN")
    let seen = try analyst.query(scenario.sql).text
    #expect(!seen.contains(Shop.mark))
    #expect(seen.contains(Shop.maskedEmail))
  }

  @Test func auditSaysWhatWasMasked() throws {
    try shop.connect("analyst").query("SELECT id, email FROM shop.customers")
    let record = try #require(try shop.audit(where: "role_name = 'analyst' AND event = 'statement'").first)
    #expect(record["decision"] == "masked" && record["rows"] == "3")
    let access = try shop.access(where: "role_name = 'analyst' AND event = 'statement'")
    #expect(access.first?["relation"] == "shop.customers")
    #expect(access.first?["masked_columns"] == "{email}")
    #expect(access.first?["columns"] == "{id,email}")
  }
}

// MARK: - Methods, subjects, exemptions

extension ServerTests.MaskTests {
  @Test func eachMethodMasksItsColumn() throws {
    let analyst = try shop.connect("analyst")
    let row = try analyst.query("SELECT id, name, email, phone, age, city FROM shop.customers WHERE id = 1").rows.first
    #expect(row == ["1", "[redacted]", "a***@***.example", "+1***1", nil, "Rome"])
  }

  @Test func ownerAndSuperuserSeeRawValues() throws {
    for role in ["shop_owner", "postgres"] {
      #expect(
        try shop.connect(role).query("SELECT email FROM shop.customers WHERE id = 1").value == "annRAWMARK@raw.example")
      #expect(try shop.connect(role).query("COPY shop.customers TO STDOUT").copied.contains(Shop.mark))
    }
  }

  @Test func conditionsSeeTheMaskedValue() throws {
    let byRawValue = [
      "SELECT count(*) FROM shop.customers WHERE email = 'annRAWMARK@raw.example'",
      "SELECT count(*) FROM shop.customers WHERE email LIKE '%RAWMARK%'",
      "SELECT count(*) FROM shop.customers WHERE (id, email) = (1, 'annRAWMARK@raw.example')",
      "SELECT count(*) FROM shop.customers c WHERE c::text LIKE '%RAWMARK%'",
      "SELECT count(*) FROM shop.customers WHERE age = 41",
      "SELECT count(*) FROM shop.customers c JOIN (VALUES ('annRAWMARK@raw.example')) v (e) ON v.e = c.email",
    ]
    let analyst = try shop.connect("analyst")
    let owner = try shop.connect("shop_owner")
    for sql in byRawValue {
      #expect(try analyst.query(sql).value == "0", "\(sql)")
      #expect(try owner.query(sql).value != "0", "\(sql)")
    }
    #expect(try analyst.query("SELECT count(*) FROM shop.customers WHERE email = '\(Shop.maskedEmail)'").value == "3")
  }

  @Test func unmaskShowsTheColumnAgain() throws {
    let analyst = try shop.connect("analyst")
    #expect(try shop.connect().query("SELECT warden.unmask('shop.customers.email')").value == "t")
    #expect(try analyst.query("SELECT email FROM shop.customers WHERE id = 1").value == "annRAWMARK@raw.example")
    #expect(try analyst.query("SELECT name FROM shop.customers WHERE id = 1").value == "[redacted]")
    #expect(try shop.connect().query("SELECT warden.unmask('shop.customers.email')").value == "f")
  }

  @Test func exemptionShowsWhatItNames() throws {
    let analyst = try shop.connect("analyst")
    let sql = "SELECT email || ' ' || name FROM shop.customers WHERE id = 1"
    let id = try shop.connect().query("SELECT warden.exempt('{role:analyst}', '{shop.customers.email}')").value
    #expect(try analyst.query(sql).value == "annRAWMARK@raw.example [redacted]")
    #expect(try shop.connect("copilot").query(sql).value == "annRAWMARK@raw.example [redacted]")
    try shop.admin.query("GRANT SELECT ON shop.customers TO clerk")
    #expect(try shop.connect("clerk").query(sql).value == "a***@***.example [redacted]")

    #expect(try shop.connect().query("SELECT warden.revoke_exemption($1::bigint)", id).value == "t")
    #expect(try analyst.query(sql).value == "a***@***.example [redacted]")
  }

  @Test func expiredExemptionIsNone() throws {
    let analyst = try shop.connect("analyst")
    let sql = "SELECT email FROM shop.customers WHERE id = 1"
    try shop.connect().query(
      "SELECT warden.exempt('{role:analyst}', '{*}', clock_timestamp() + interval '1.5 seconds')")
    try analyst.prepare("p", sql)
    #expect(try analyst.execute("p").value == "annRAWMARK@raw.example")
    // The same plan, once the time has passed.
    try analyst.query("SELECT pg_sleep(2)")
    #expect(try analyst.execute("p").value == Shop.maskedEmail)
  }

  @Test func masksListsEveryMaskAndItsView() throws {
    let masks = try shop.connect().query("SELECT target, method, view FROM warden.masks ORDER BY target").rows
    #expect(masks.contains(["shop.customers.email", "email", "warden_views.shop__customers"]))
    #expect(masks.count == 5)
    let seen = try shop.connect().query("SELECT email FROM warden_views.shop__customers WHERE id = 1").value
    #expect(seen == Shop.maskedEmail)
  }

  static let badMasks = [
    ("'shop.customers.email', 'hide'", "22023", "hide"),
    ("'shop.customers.nothing', 'redact'", "42704", "nothing"),
    ("'shop.nothing.email', 'redact'", "42704", "nothing"),
    ("'shop.customers.age', 'email'", "22023", "age"),
    ("'shop.customers.phone', 'partial', '{\"prefx\": 1}'", "22023", "prefx"),
  ]

  @Test(arguments: badMasks)
  func badMaskIsAnErrorAtDefinition(_ arguments: String, _ sqlstate: String, _ named: String) throws {
    let error = try shop.connect().error("SELECT warden.mask(\(arguments))")
    #expect(error?.sqlstate == sqlstate)
    #expect(error?.text.contains(named) == true)
  }

  @Test func masksAreForPolicyAdmins() throws {
    #expect(try shop.connect("analyst").error("SELECT warden.unmask('shop.customers.email')")?.sqlstate == "42501")
    #expect(try shop.connect("analyst").error("SELECT warden.exempt('{role:analyst}')")?.sqlstate == "42501")
    #expect(try shop.connect("policy_admin").error("SELECT warden.mask('shop.customers.city', 'redact')") == nil)
  }
}

// MARK: - Plans that outlive their role

extension ServerTests.MaskTests {
  private static let read = "SELECT email FROM shop.customers WHERE id = 1"
  private static let raw = "annRAWMARK@raw.example"

  /// Runs `execute` as superuser, analyst and superuser again, often enough for generic plans.
  private func expectRightEachTime(_ connection: Connection, _ execute: () throws -> String?) throws {
    for _ in 1...2 {
      for _ in 1...7 { #expect(try execute() == Self.raw) }
      try connection.query("SET ROLE analyst")
      for _ in 1...7 { #expect(try execute() == Shop.maskedEmail) }
      try connection.query("RESET ROLE")
    }
  }

  @Test func preparedStatementFollowsTheRole() throws {
    let session = try shop.connect()
    try session.query("PREPARE p AS \(Self.read)")
    try expectRightEachTime(session) { try session.query("EXECUTE p").value }
  }

  @Test func preparedStatementMadeMaskedFollowsTheRole() throws {
    let session = try shop.connect()
    try session.query("SET ROLE analyst; PREPARE p AS \(Self.read); EXECUTE p; RESET ROLE")
    try expectRightEachTime(session) { try session.query("EXECUTE p").value }
  }

  @Test func protocolStatementFollowsTheRole() throws {
    let session = try shop.connect()
    try session.prepare("p", Self.read)
    try expectRightEachTime(session) { try session.execute("p").value }
  }

  @Test func plansCachedInFunctionsFollowTheRole() throws {
    let session = try shop.connect()
    for (name, security) in [("shop.f", "SECURITY INVOKER"), ("shop.g", "SECURITY DEFINER")] {
      try session.query(
        """
        CREATE FUNCTION \(name)() RETURNS text \(security) LANGUAGE plpgsql AS
        $$DECLARE e text; BEGIN \(Self.read.replacing("email FROM", with: "email INTO e FROM")); RETURN e; END$$
        """)
      try expectRightEachTime(session) { try session.query("SELECT \(name)()").value }
    }
  }

  @Test func planMadeBeforeTheMaskIsMasked() throws {
    let analyst = try shop.connect("analyst")
    try shop.connect().query("SELECT warden.unmask('shop.customers.email')")
    try analyst.prepare("p", Self.read)
    for _ in 1...7 { #expect(try analyst.execute("p").value == Self.raw) }
    try shop.connect().query("SELECT warden.mask('shop.customers.email', 'email')")
    #expect(try analyst.execute("p").value == Shop.maskedEmail)
  }
}

// MARK: - Writes, other protections, migrations

extension ServerTests.MaskTests {
  static let readingWrites = [
    "UPDATE shop.customers SET city = 'x' WHERE email = 'annRAWMARK@raw.example'",
    "UPDATE shop.customers SET city = email WHERE id = 1",
    "UPDATE shop.customers SET name = upper(name) WHERE id = 1",
    "UPDATE shop.customers c SET city = 'x' WHERE c::text LIKE '%RAWMARK%'",
    "DELETE FROM shop.customers WHERE email LIKE 'ann%'",
    "DELETE FROM shop.events_january WHERE email LIKE 'a%'",
    """
    MERGE INTO shop.customers c USING (VALUES ('annRAWMARK@raw.example')) v (e) ON c.email = v.e
    WHEN MATCHED THEN UPDATE SET city = 'x'
    """,
    "WITH u AS (UPDATE shop.customers SET city = 'x' WHERE email LIKE 'ann%' RETURNING id) SELECT * FROM u",
  ]

  @Test(arguments: readingWrites) func writeThatReadsAMaskedColumnIsRefused(_ sql: String) throws {
    let before = try shop.contents()
    let error = try shop.connect("analyst").error(sql)
    #expect(error?.sqlstate == "42501" && error?.message.contains("masked") == true, "\(error?.text ?? "no error")")
    #expect(try shop.contents() == before)
    let records = try shop.audit(where: "role_name = 'analyst' AND decision = 'blocked'")
    #expect(records.count == 1 && records.first?["outcome"] == "blocked" && records.first?["sqlstate"] == "42501")
  }

  @Test func writesThatReadNoMaskedColumnWork() throws {
    let analyst = try shop.connect("analyst")
    let updated = try analyst.query("UPDATE shop.customers SET city = 'Bari' WHERE id = 1 RETURNING city, email")
    #expect(updated.rows == [["Bari", Shop.maskedEmail]])
    try analyst.query("INSERT INTO shop.customers VALUES (7, 'Guy', 'guy@x.example', '+7', 47, 'Lima')")
    try analyst.query("UPDATE shop.customers SET email = 'new@x.example' WHERE id = 7")
    #expect(try shop.admin.query("SELECT email FROM shop.customers WHERE id = 7").value == "new@x.example")
    #expect(try shop.admin.query("SELECT email FROM shop.customers WHERE id = 1").value == Self.raw)
  }

  @Test func constraintsWorkOnRawValues() throws {
    let analyst = try shop.connect("analyst")
    let taken = "INSERT INTO shop.customers VALUES (8, 'x', 'annRAWMARK@raw.example', 'x', 1, 'x')"
    #expect(analyst.error(taken)?.sqlstate == "23505")
    #expect(analyst.error("INSERT INTO shop.orders VALUES (9, 99, 1)")?.sqlstate == "23503")
    #expect(try analyst.query("INSERT INTO shop.orders VALUES (9, 1, 1)").affected == 1)
  }

  @Test func columnGrantsHold() throws {
    try shop.admin.query("GRANT SELECT (id, email) ON shop.customers TO clerk")
    let clerk = try shop.connect("clerk")
    #expect(try clerk.query("SELECT email FROM shop.customers WHERE id = 1").value == Shop.maskedEmail)
    for sql in ["SELECT phone FROM shop.customers", "SELECT * FROM shop.customers", "COPY shop.customers TO STDOUT"] {
      let error = clerk.error(sql)
      #expect(error?.sqlstate == "42501" && error?.message.contains("permission denied") == true, "\(sql)")
    }
    #expect(try clerk.query("COPY shop.customers (email) TO STDOUT").copied.contains(Shop.maskedEmail))
  }

  @Test func noGrantNoMaskedRead() throws {
    for sql in ["SELECT email FROM shop.customers", "SELECT email FROM warden_views.shop__customers"] {
      #expect(try shop.connect("clerk").error(sql)?.sqlstate == "42501")
    }
  }

  @Test func rowSecurityHolds() throws {
    try shop.connect("shop_owner").query(
      """
      ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
      CREATE POLICY rome ON shop.customers TO analyst USING (city = 'Rome');
      """)
    let analyst = try shop.connect("analyst")
    #expect(
      try analyst.query("SELECT id, email FROM shop.customers ORDER BY id").rows
        == [["1", Shop.maskedEmail], ["3", Shop.maskedEmail]])
    #expect(
      try analyst.query("COPY shop.customers (id, email) TO STDOUT").copied
        == "1\t\(Shop.maskedEmail)\n3\t\(Shop.maskedEmail)\n")
    #expect(try analyst.query("UPDATE shop.customers SET city = 'Rome' WHERE id = 2").affected == 0)
  }

  @Test func rowSecurityOfTheColumnComparesRawValues() throws {
    // The owner's policy is the owner's: it decides by what is stored.
    try shop.connect("shop_owner").query(
      """
      ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
      CREATE POLICY mine ON shop.customers TO analyst USING (email = 'adaRAWMARK@raw.example');
      """)
    let rows = try shop.connect("analyst").query("SELECT id, email FROM shop.customers").rows
    #expect(rows == [["3", Shop.maskedEmail]])
  }

  @Test func explainShowsNoRawValue() throws {
    try shop.admin.query("ANALYZE shop.customers")
    let plan = try shop.connect("analyst").query("EXPLAIN (VERBOSE, ANALYZE) SELECT email FROM shop.customers").text
    #expect(!plan.contains(Shop.mark))
  }

  @Test func ownersMigrationsWork() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.customers ADD joined date")
    try owner.query("ALTER TABLE shop.customers ALTER email TYPE varchar(200)")
    try owner.query("ALTER TABLE shop.customers RENAME email TO mail")
    let analyst = try shop.connect("analyst")
    #expect(try analyst.query("SELECT mail FROM shop.customers WHERE id = 1").value == Shop.maskedEmail)
    #expect(try analyst.query("SELECT * FROM shop.customers WHERE id = 1").columns.last == "joined")
    try owner.query("ALTER TABLE shop.customers RENAME TO clients")
    #expect(try analyst.query("SELECT mail FROM shop.clients WHERE id = 1").value == Shop.maskedEmail)
    try owner.query("ALTER TABLE shop.clients RENAME TO customers")
  }

  @Test func droppedTableLeavesNoMaskBehind() throws {
    try shop.connect().query("SELECT warden.guard('migrate', 'allow', '{ddl}', priority => 9)")
    try shop.connect("shop_owner").query("DROP TABLE shop.events")
    #expect(try shop.admin.query("SELECT count(*) FROM warden.masks WHERE target LIKE 'shop.events%'").value == "0")
    #expect(try shop.admin.query("SELECT to_regclass('warden_views.shop__events')").value == nil)
    try shop.connect("shop_owner").query(
      """
      CREATE TABLE shop.events (id int, day date, email text); CREATE TABLE shop.events_january ();
      INSERT INTO shop.events VALUES (1, '2026-01-01', 'unmasked'); GRANT ALL ON shop.events TO analyst
      """)
    #expect(try shop.connect("analyst").query("SELECT email FROM shop.events").value == "unmasked")
  }
}
