import Testing

extension ServerTests {
  /// Every case by every door: whatever leads to a masked column, it is the mask that comes out.
  @Suite struct MaskDoorTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "doors")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }

    /// How a query is asked: statements, the last of which answers; `{QUERY}` stands for the query.
    struct Door: Sendable {
      let title: String
      let steps: [String]
      /// Run by the tables' owner, who also makes what the query needs.
      var owners = ""

      init(_ title: String, owners: String = "", _ steps: String...) {
        (self.title, self.owners, self.steps) = (title, owners, steps)
      }
    }
  }
}

// MARK: - Doors

extension ServerTests.MaskDoorTests {
  /// A mask of a value of one's choice would tell which value a token stands for.
  static let calls = [
    "SELECT warden.mask_hash('x'::text, 16)", "SELECT warden.mask_noise(5::bigint, 10, 64)",
    "CREATE OPERATOR lab.## (LEFTARG = text, RIGHTARG = int, FUNCTION = warden.mask_hash); SELECT 'x'::text OPERATOR(lab.##) 16",
    "CREATE AGGREGATE lab.ag(int) (SFUNC = warden.mask_hash, STYPE = text, INITCOND = 'x'); SELECT lab.ag(16)",
    "CREATE AGGREGATE lab.ag(int) (SFUNC = warden.mask_hash, STYPE = text, INITCOND = 'x'); SELECT lab.ag(16) OVER ()",
    "PREPARE p (text) AS SELECT $1; EXECUTE p (warden.mask_hash('x'::text, 16))",
    "PREPARE p (int) AS SELECT $1; EXECUTE p (warden.mask_write_check(1, 1, true, NULL))",
    "PREPARE p (text) AS SELECT $1; EXECUTE p (warden.mask_caught_row('x'::text, 'y'::text, 'z'::text))",
    "PREPARE p (bool) AS SELECT $1; EXECUTE p (warden.mask_never())",
    "PREPARE p (text) AS SELECT $1 AS t; CREATE TABLE lab.t AS EXECUTE p (warden.mask_hash('x'::text, 16))",
    "CREATE TABLE lab.t (a text, h text GENERATED ALWAYS AS (warden.mask_email(a)) STORED); INSERT INTO lab.t VALUES ('x')",
    "CREATE FUNCTION lab.f(x text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT warden.mask_hash(x, 16); END; SELECT lab.f('x')",
    "CREATE DOMAIN lab.d AS text CHECK (warden.mask_hash(value, 16) <> 'x'); SELECT 'x'::lab.d",
    "CREATE TABLE lab.t (a int, h text DEFAULT warden.mask_hash('x'::text, 16)); INSERT INTO lab.t VALUES (1)",
    "CREATE TABLE lab.t AS SELECT 1 AS a; ALTER TABLE lab.t ADD h text DEFAULT warden.mask_hash('x'::text, 16)",
    "CREATE FUNCTION lab.f(x text DEFAULT warden.mask_hash('x'::text, 16)) RETURNS text LANGUAGE sql AS 'SELECT x'; SELECT lab.f()",
    "CREATE TABLE lab.t (a text) PARTITION BY LIST (a); CREATE TABLE lab.o PARTITION OF lab.t FOR VALUES IN (warden.mask_hash('x'::text, 16))",
    "CREATE TABLE lab.t (a text); INSERT INTO lab.t VALUES ('x'); ALTER TABLE lab.t ALTER a TYPE text USING warden.mask_email(a)",
    "CREATE TABLE lab.t (a text); INSERT INTO lab.t VALUES ('x'); CREATE INDEX ON lab.t (warden.mask_email(a))",
    "CREATE TABLE lab.t (a text CHECK (warden.mask_email(a) <> '')); INSERT INTO lab.t VALUES ('x')",
    "CREATE PROCEDURE lab.p(x text) LANGUAGE plpgsql AS 'BEGIN END'; CALL lab.p(warden.mask_hash('x'::text, 16))",
    "SELECT ARRAY(SELECT warden.mask_hash(ARRAY['x'], 16))",
    "DO 'DECLARE x text := warden.mask_hash(''x''::text, 16); BEGIN END'",
  ]

  @Test(arguments: calls) func noMaskOfAValueOfOnesChoice(_ call: String) throws {
    try shop.admin.query("SELECT warden.mask('shop.orders.note', 'hash')")
    let error = try shop.connect("analyst").error("BEGIN; " + call)
    #expect(
      error?.sqlstate == "42501" && error?.message.contains("cannot be called") == true,
      "\(call): \(error?.text ?? "no error")")
  }

  /// Tokens collected before there is a mask would tell values afterwards.
  @Test func masksAreNotCalledBeforeThereIsOne() throws {
    try shop.refill()
    let analyst = try shop.connect("analyst")
    for call in [
      "SELECT warden.mask_hash('x', 16)", "SELECT warden.mask_email('x')",
      "DO 'BEGIN PERFORM warden.mask_hash(7::bigint, 64); END'",
      "SELECT e FROM (VALUES ('x')) v (e) WHERE warden.mask_email(e) > ''",
      "CREATE TABLE lab.t (e text CHECK (warden.mask_email(e) <> '')); INSERT INTO lab.t VALUES ('x')",
    ] {
      let error = analyst.error(call)
      #expect(
        error?.sqlstate == "42501" && error?.message.contains("cannot be called") == true,
        "\(call): \(error?.text ?? "no error")")
    }
    // Who defines the first one tries it.
    try shop.connect("policy_admin").query("SELECT warden.mask('shop.customers.email', 'hash')")
  }

  private static let function = "RETURNS SETOF text LANGUAGE"
  private static let rows = "SELECT q::text FROM ({QUERY}) q"

  static let doors = [
    Door("query", "{QUERY}"),
    Door("COPY", "COPY ({QUERY}) TO STDOUT"),
    Door("cursor", "DECLARE c SCROLL CURSOR FOR {QUERY}", "FETCH ALL FROM c"),
    Door("PREPARE", "PREPARE p AS {QUERY}", "EXECUTE p"),
    Door("SQL function", "CREATE FUNCTION pg_temp.f() \(function) sql AS $f$\(rows)$f$", "SELECT * FROM pg_temp.f()"),
    Door("BEGIN ATOMIC", "CREATE FUNCTION lab.f() \(function) sql BEGIN ATOMIC \(rows); END", "SELECT lab.f()"),
    Door(
      "plpgsql", "CREATE FUNCTION pg_temp.f() \(function) plpgsql AS $f$BEGIN RETURN QUERY \(rows); END$f$",
      "SELECT pg_temp.f()"),
    Door(
      "one's own SECURITY DEFINER function",
      "CREATE FUNCTION lab.f() \(function) plpgsql SECURITY DEFINER AS $f$BEGIN RETURN QUERY \(rows); END$f$",
      "SELECT lab.f()"),
    Door(
      "the owner's SECURITY DEFINER function",
      owners: "CREATE FUNCTION shop.f() \(function) sql SECURITY DEFINER AS $f$\(rows)$f$", "SELECT * FROM shop.f()"),
    Door("the owner's view", owners: "CREATE VIEW shop.door AS \(rows)", "TABLE shop.door"),
    Door("one's own view", "CREATE VIEW lab.door WITH (security_barrier) AS \(rows)", "TABLE lab.door"),
    Door("table", "CREATE TABLE lab.door AS \(rows)", "TABLE lab.door"),
    Door("materialized view", "CREATE MATERIALIZED VIEW lab.door AS \(rows)", "TABLE lab.door"),
    Door("query_to_xml", "SELECT query_to_xml($x$\(rows)$x$, true, false, '')"),
    Door("setting", "SELECT set_config('door.loot', string_agg(t, ' '), true) FROM (\(rows)) s (t)", "SHOW door.loot"),
    Door(
      "large object", "SELECT lo_from_bytea(4242, convert_to(string_agg(t, ' '), 'UTF8')) FROM (\(rows)) s (t)",
      "SELECT convert_from(lo_get(4242), 'UTF8')"),
  ]

  /// What is read, `setup` by the owner.
  static let cases = [
    Scenario("table", "SELECT email FROM shop.customers"),
    Scenario("whole row", "SELECT c FROM shop.customers c"),
    Scenario("ROW(c.*)", "SELECT ROW(c.*)::text FROM shop.customers c"),
    Scenario("to_jsonb", "SELECT to_jsonb(c) FROM shop.customers c"),
    Scenario("comparison of rows", "SELECT c FROM shop.customers c WHERE c IS DISTINCT FROM NULL"),
    Scenario("aggregate and window", "SELECT max(email), lag(max(email)) OVER () FROM shop.customers GROUP BY email"),
    Scenario("TABLESAMPLE", "SELECT email FROM shop.customers TABLESAMPLE BERNOULLI (100)"),
    Scenario("LATERAL", "SELECT l.* FROM shop.orders o, LATERAL (SELECT email FROM shop.customers WHERE id = o.id) l"),
    Scenario("set operation", "SELECT email FROM shop.customers EXCEPT SELECT note FROM shop.orders"),
    Scenario("WITH", "WITH c AS MATERIALIZED (TABLE shop.customers) SELECT c.email FROM c"),
    Scenario("partition by name", "SELECT email FROM shop.events_january"),
    Scenario(
      "partition attached later",
      setup: """
        CREATE TABLE shop.events_march PARTITION OF shop.events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
        INSERT INTO shop.events VALUES (9, '2026-03-09', 'aRAWMARK9@raw.example')
        """, "SELECT email FROM shop.events_march"),
    Scenario(
      "INHERITS child",
      setup: """
        CREATE TABLE shop.vip () INHERITS (shop.customers);
        INSERT INTO shop.vip VALUES (9, 'Ali RAWMARK', 'aliRAWMARK@raw.example', '+9RAWMARK9', 49, 'Nice')
        """, "SELECT email FROM shop.vip"),
    Scenario(
      "security_invoker view over a view",
      setup: """
        CREATE VIEW shop.v AS SELECT * FROM shop.customers;
        CREATE VIEW shop.w WITH (security_invoker) AS SELECT email FROM shop.v
        """, "TABLE shop.w"),
    Scenario(
      "SQL function that is inlined",
      setup: "CREATE FUNCTION shop.people() RETURNS SETOF shop.customers STABLE LANGUAGE sql AS 'TABLE shop.customers'",
      "SELECT p.email FROM shop.people() p"),
    Scenario(
      "function of a row",
      setup: "CREATE FUNCTION shop.mail(shop.customers) RETURNS text LANGUAGE sql AS 'SELECT $1.email'",
      "SELECT shop.mail(c) FROM shop.customers c"),
    Scenario(
      "join to a key of the same values",
      setup: """
        CREATE TABLE shop.letters (email text REFERENCES shop.customers (email));
        INSERT INTO shop.letters SELECT email FROM shop.customers
        """, "SELECT c.email FROM shop.customers c LEFT JOIN shop.letters l USING (email)"),
  ]

  @Test(arguments: cases) func nothingRawByAnyDoor(_ scenario: Scenario) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(scenario.setup)
    let analyst = try shop.connect("analyst")
    for door in Self.doors {
      let said = "\(scenario.title) by \(door.title)"
      try owner.query("BEGIN")
      #expect(try ask(scenario.sql, by: door, of: owner).contains(Shop.mark), "\(said): nothing to hide")
      try owner.query("ROLLBACK")
      try owner.query(door.owners.replacing("{QUERY}", with: scenario.sql))
      try shop.admin.query("GRANT ALL ON ALL TABLES IN SCHEMA shop TO analyst")
      try analyst.query("BEGIN")
      let seen = try ask(scenario.sql, by: Door(door.title, steps: door.steps), of: analyst)
      try analyst.query("ROLLBACK; DISCARD PLANS; DEALLOCATE ALL")
      #expect(!seen.contains(Shop.mark) && seen.contains(Shop.maskedEmail), "\(said): \(seen)")
      try cleanUp(after: door, owner)
    }
  }

  private func ask(_ sql: String, by door: Door, of connection: Connection) throws -> String {
    try connection.query(door.owners.replacing("{QUERY}", with: sql))
    return try door.steps.map { try connection.query($0.replacing("{QUERY}", with: sql)).text }.joined(separator: "\n")
  }

  /// What is dropped needs approval: another name is as good.
  private func cleanUp(after door: Door, _ owner: Connection) throws {
    guard !door.owners.isEmpty else { return }
    let name = "old_\(UInt32.random(in: 0...UInt32.max))"
    let kind = door.owners.hasPrefix("CREATE VIEW") ? "VIEW shop.door" : "FUNCTION shop.f()"
    try owner.query("ALTER \(kind) RENAME TO \(name)")
  }
}

extension ServerTests.MaskDoorTests.Door {
  init(_ title: String, steps: [String]) { (self.title, self.steps) = (title, steps) }
}

// MARK: - Code of one's own

extension ServerTests.MaskDoorTests {
  private static let loot = "(SELECT string_agg(email, ' ') FROM shop.customers)"
  private static let loots = """
    CREATE TABLE lab.loot (id int, x text);
    CREATE FUNCTION lab.steals() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN \(loot); END$$;
    CREATE FUNCTION lab.fixed(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN \(loot); END$$;
    """

  /// Where code is hidden that others run or that runs late; each ends with a query that shows what it got.
  static let hidingPlaces: [(String, String)] = [
    (
      "default",
      "ALTER TABLE lab.loot ALTER x SET DEFAULT lab.steals(); INSERT INTO lab.loot VALUES (1); TABLE lab.loot"
    ),
    (
      "generated column",
      """
      CREATE TABLE lab.g (a int, b text GENERATED ALWAYS AS (lab.fixed(a)) STORED);
      INSERT INTO lab.g VALUES (1); TABLE lab.g
      """
    ),
    ("index", "INSERT INTO lab.loot VALUES (1); CREATE INDEX ON lab.loot (lab.fixed(id)); SELECT lab.fixed(1)"),
    (
      "trigger",
      """
      CREATE FUNCTION lab.tg() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.x = \(loot); RETURN NEW; END$$;
      CREATE TRIGGER tg BEFORE INSERT ON lab.loot FOR EACH ROW EXECUTE FUNCTION lab.tg();
      INSERT INTO lab.loot VALUES (1); TABLE lab.loot
      """
    ),
    (
      "deferred trigger",
      """
      CREATE FUNCTION lab.tg() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO lab.loot VALUES (2, \(loot)); RETURN NULL; END$$;
      CREATE CONSTRAINT TRIGGER tg AFTER UPDATE ON lab.loot DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        EXECUTE FUNCTION lab.tg();
      INSERT INTO lab.loot VALUES (1); UPDATE lab.loot SET id = 3 WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE;
      TABLE lab.loot
      """
    ),
    (
      "rule",
      """
      CREATE RULE r AS ON INSERT TO lab.loot DO ALSO UPDATE lab.loot SET x = \(loot) WHERE id = new.id;
      INSERT INTO lab.loot VALUES (1); TABLE lab.loot
      """
    ),
    (
      "row security",
      """
      INSERT INTO lab.loot VALUES (1, 'a***@***.example'); ALTER TABLE lab.loot ENABLE ROW LEVEL SECURITY;
      ALTER TABLE lab.loot FORCE ROW LEVEL SECURITY;
      CREATE POLICY p ON lab.loot USING (x IN (SELECT email FROM shop.customers)); TABLE lab.loot
      """
    ),
    (
      "aggregate",
      """
      CREATE FUNCTION lab.step(text, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN concat($1, $2); END$$;
      CREATE AGGREGATE lab.all_of(text) (SFUNC = lab.step, STYPE = text); SELECT lab.all_of(email) FROM shop.customers
      """
    ),
    (
      "ordering operator",
      """
      CREATE FUNCTION lab.spy(text, text) RETURNS boolean LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO lab.loot VALUES (1, $1); RETURN $1 < $2; END$$;
      CREATE OPERATOR lab.<<< (FUNCTION = lab.spy, LEFTARG = text, RIGHTARG = text, RESTRICT = eqsel, JOIN = eqjoinsel);
      SELECT count(*) FROM shop.customers WHERE email OPERATOR(lab.<<<) 'x'; TABLE lab.loot
      """
    ),
    (
      "leaky condition in front of a view's",
      """
      CREATE FUNCTION lab.spy(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
        $$BEGIN INSERT INTO lab.loot VALUES (1, $1); RETURN true; END$$;
      SELECT count(*) FROM shop.customers WHERE lab.spy(email) AND lab.spy(phone); TABLE lab.loot
      """
    ),
    (
      "ts_stat",
      "SELECT word FROM ts_stat('SELECT array_to_tsvector(ARRAY[email]) FROM shop.customers')"
    ),
    (
      "cursor_to_xml",
      "DECLARE c CURSOR FOR SELECT email FROM shop.customers; SELECT cursor_to_xml('c', 9, true, false, '')"
    ),
    ("schema_to_xml", "SELECT schema_to_xml('shop', true, false, '')"),
    (
      "default of a domain",
      """
      CREATE DOMAIN lab.d AS text DEFAULT lab.steals(); CREATE TABLE lab.e (i int, x lab.d);
      INSERT INTO lab.e VALUES (1); TABLE lab.e
      """
    ),
    (
      "stacked diagnostics",
      """
      DO $$DECLARE t text; BEGIN
        BEGIN PERFORM email::int FROM shop.customers;
        EXCEPTION WHEN others THEN GET STACKED DIAGNOSTICS t = MESSAGE_TEXT; INSERT INTO lab.loot VALUES (1, t); END;
      END$$; TABLE lab.loot
      """
    ),
  ]

  @Test(arguments: hidingPlaces) func codeOfOnesOwnSeesMasks(_ title: String, _ sql: String) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("BEGIN; \(Self.loots)")
    #expect(try owner.query(sql).text.contains(Shop.mark) || title == "row security", "nothing to hide")
    try owner.query("ROLLBACK")
    let analyst = try shop.connect("analyst")
    analyst.keepNotices()
    try analyst.query("BEGIN; \(Self.loots)")
    let seen = try analyst.query(sql).text + analyst.takeNotices().joined()
    #expect(!seen.contains(Shop.mark) && seen.contains(Shop.maskedEmail), "\(seen)")
  }

  /// Settings that change how queries are planned, run or cached.
  @Test(arguments: [
    "SET force_parallel_mode = on; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0",
    "SET jit = on; SET jit_above_cost = 0; SET jit_inline_above_cost = 0; SET jit_optimize_above_cost = 0",
    "SET plan_cache_mode = force_generic_plan", "SET row_security = off", "SET enable_partitionwise_join = on",
    "SET enable_partitionwise_aggregate = on", "SET from_collapse_limit = 1; SET join_collapse_limit = 1",
    "SET enable_seqscan = off", "SET constraint_exclusion = on", "SET check_function_bodies = off",
    "SET backslash_quote = on; SET standard_conforming_strings = off", "SET geqo_threshold = 2",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET search_path = lab, pg_catalog",
    "SET transform_null_equals = on", "SET default_transaction_read_only = on", "SET extra_float_digits = 3",
  ])
  func noSettingLiftsAMask(_ setting: String) throws {
    let analyst = try shop.connect("analyst")
    try analyst.query(setting)
    for sql in [
      "SELECT email FROM shop.customers", "SELECT c FROM shop.customers c JOIN shop.customers d USING (email)",
      "SELECT max(email) FROM shop.events GROUP BY day", "COPY shop.customers TO STDOUT",
    ] {
      let seen = try analyst.query(sql).text
      #expect(!seen.contains(Shop.mark) && seen.contains(Shop.maskedEmail), "\(sql): \(seen)")
    }
  }

  @Test func namesOfOnesOwnDoNotReplaceThoseOfMasks() throws {
    let analyst = try shop.connect("analyst")
    try analyst.query(
      """
      BEGIN;
      CREATE FUNCTION lab.mask_email(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
      CREATE FUNCTION lab.mask_partial(text, int, int, text) RETURNS text LANGUAGE sql AS 'SELECT $1';
      CREATE FUNCTION lab.same(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1';
      CREATE OPERATOR lab.|| (FUNCTION = lab.same, LEFTARG = text, RIGHTARG = text);
      CREATE TABLE lab.customers AS SELECT 1 AS id;
      SET search_path = lab, shop, warden, pg_catalog
      """)
    let seen = try analyst.query("SELECT * FROM shop.customers").text
    #expect(!seen.contains(Shop.mark) && seen.contains(Shop.maskedEmail))
  }

  @Test(arguments: [
    "SELECT warden.mask_email('x@y.example')", "SELECT warden.mask_partial('x', 1, 1, '*')",
    "SELECT c.id FROM shop.customers c WHERE c.email = warden.mask_email('annRAWMARK@raw.example')",
    "CREATE TABLE lab.t AS SELECT warden.mask_email('x@y.example')",
    "DO $$BEGIN PERFORM warden.mask_email('x@y.example'); END$$",
    "SELECT email FROM (SELECT warden.mask_email(e) AS email FROM (VALUES ('x@y.example')) v (e)) s",
  ])
  func masksAreNotCalledWithValuesOfOnesOwn(_ sql: String) throws {
    let error = try shop.connect("analyst").error(sql)
    #expect(error?.sqlstate == "42501" && error?.message.contains("mask") == true, "\(error?.text ?? "no error")")
  }
}

// MARK: - Who asks changes while a plan stays

extension ServerTests.MaskDoorTests {
  private static let sql = "SELECT email FROM shop.customers WHERE id = 1"
  private static let raw = "annRAWMARK@raw.example"

  @Test func plansOfOneRoleAreNotThoseOfAnother() throws {
    let session = try shop.connect()
    try session.query(
      """
      SET plan_cache_mode = force_generic_plan;
      CREATE FUNCTION lab.cached() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN (\(Self.sql)); END$$;
      GRANT EXECUTE ON FUNCTION lab.cached() TO PUBLIC; PREPARE p AS \(Self.sql)
      """)
    try session.prepare("q", Self.sql)
    for _ in 0..<3 {
      for (role, expected) in [("postgres", Self.raw), ("analyst", Shop.maskedEmail), ("shop_owner", Self.raw)] {
        try session.query("SET ROLE \(role)")
        #expect(try session.query("EXECUTE p").value == expected, "PREPARE as \(role)")
        #expect(try session.execute("q").value == expected, "protocol as \(role)")
        #expect(try session.query("SELECT lab.cached()").value == expected, "plpgsql as \(role)")
      }
    }
  }

  @Test func masksComeAndGoUnderPreparedPlans() throws {
    let analyst = try shop.connect("analyst")
    try analyst.query("SET plan_cache_mode = force_generic_plan")
    try analyst.prepare("q", "SELECT city, email FROM shop.customers WHERE id = $1")
    #expect(try analyst.execute("q", "1").rows == [["Rome", Shop.maskedEmail]])
    try shop.admin.query("SELECT warden.mask('shop.customers.city', 'redact')")
    #expect(try analyst.execute("q", "1").rows == [["[redacted]", Shop.maskedEmail]])
    try shop.admin.query("SELECT warden.unmask('shop.customers.city'), warden.exempt('{role:analyst}')")
    #expect(try analyst.execute("q", "1").rows == [["Rome", Self.raw]])
    try shop.admin.query("SELECT warden.revoke_exemption(id) FROM warden.exemptions")
    #expect(try analyst.execute("q", "1").rows == [["Rome", Shop.maskedEmail]])
  }

  @Test func openCursorsShowWhatTheyWereOpenedWith() throws {
    let session = try shop.connect()
    try session.query(
      "SET ROLE analyst; BEGIN; DECLARE c CURSOR WITH HOLD FOR TABLE shop.customers; COMMIT; RESET ROLE")
    let held = try session.query("FETCH ALL FROM c").text
    #expect(!held.contains(Shop.mark) && held.contains(Shop.maskedEmail))
  }

  @Test func currentOfACursorIsUpdated() throws {
    let analyst = try shop.connect("analyst")
    try analyst.query("BEGIN; DECLARE c CURSOR FOR SELECT email FROM shop.customers WHERE id = 2 FOR UPDATE; FETCH c")
    let error = analyst.error("UPDATE shop.customers SET city = 'Bari' WHERE CURRENT OF c RETURNING id, email")
    try analyst.query("ROLLBACK")
    // A redirected table is a subquery, which no cursor stands on: an error, and no row.
    #expect(error == nil || error?.text.contains(Shop.mark) == false, "\(error?.text ?? "")")
  }
}

// MARK: - Masks beside constraints and privileges

extension ServerTests.MaskDoorTests {
  @Test func keysOverMaskedColumnsWorkOnRealValues() throws {
    try shop.connect("shop_owner").query(
      """
      CREATE TABLE shop.letters
        (id int, email text REFERENCES shop.customers (email) ON UPDATE CASCADE ON DELETE CASCADE);
      INSERT INTO shop.letters SELECT id, email FROM shop.customers; GRANT ALL ON shop.letters TO analyst
      """)
    try shop.admin.query("SELECT warden.mask('shop.letters.email', 'email')")
    let analyst = try shop.connect("analyst")
    try analyst.query("UPDATE shop.customers SET email = 'aaaRAWMARK@raw.example' WHERE id = 1")
    try analyst.query("UPDATE shop.orders SET customer_id = 1 WHERE customer_id = 2")
    try analyst.query("DELETE FROM shop.customers WHERE id = 2")
    #expect(
      try shop.admin.query("SELECT string_agg(email, ' ' ORDER BY id) FROM shop.letters").value
        == "aaaRAWMARK@raw.example adaRAWMARK@raw.example")
    #expect(try analyst.query("SELECT DISTINCT email FROM shop.letters").rows == [[Shop.maskedEmail]])
    #expect(analyst.error("INSERT INTO shop.letters VALUES (9, 'nobody@x.example')")?.sqlstate == "23503")
  }

  @Test func grantsRowSecurityAndMasksHoldTogether() throws {
    try shop.connect("shop_owner").query(
      """
      ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
      CREATE POLICY rome ON shop.customers TO clerk USING (city = 'Rome' AND age > 41);
      GRANT SELECT (id, email), UPDATE (city) ON shop.customers TO clerk;
      CREATE VIEW shop.v WITH (security_invoker) AS SELECT id, email FROM shop.customers;
      GRANT SELECT ON shop.v TO clerk
      """)
    let clerk = try shop.connect("clerk")
    for sql in [
      "SELECT id, email FROM shop.customers", "SELECT * FROM shop.v", "COPY shop.customers (id, email) TO STDOUT",
      "UPDATE shop.customers SET city = 'Rome' WHERE id = 3 RETURNING id, email",
    ] {
      let seen = try clerk.query(sql)
      #expect(
        seen.rows == [["3", Shop.maskedEmail]] || seen.copied == "3\t\(Shop.maskedEmail)\n", "\(sql): \(seen.text)")
    }
    for sql in ["SELECT phone FROM shop.customers", "SELECT c FROM shop.customers c", "TABLE shop.customers"] {
      #expect(clerk.error(sql)?.sqlstate == "42501", "\(sql)")
    }
    #expect(try clerk.query("UPDATE shop.customers SET city = 'Rome' WHERE id = 1").affected == 0)
  }
}
