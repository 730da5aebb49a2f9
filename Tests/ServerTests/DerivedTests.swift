import Testing

extension ServerTests {
  /// Copies inherit: whatever a session that sees real values makes of masked columns is masked for others.
  @Suite struct DerivedTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "derived")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query(
        """
        CREATE TABLE shop.copy (id int, e text, n text);
        ALTER TABLE shop.copy OWNER TO shop_owner;
        GRANT ALL ON ALL TABLES IN SCHEMA shop TO analyst, clerk;
        GRANT CREATE ON SCHEMA shop TO PUBLIC;
        """)
      try shop.mask()
      try shop.admin.query(
        """
        SELECT warden.label('shop.customers.email', 'pii.email');
        SELECT warden.exempt('{role:clerk}', '{shop.customers,shop.events}');
        """)
    }

    /// The derived masks, as `table.column method`.
    fileprivate func masks(_ connection: Connection? = nil) throws -> [String] {
      let rows = try (connection ?? shop.admin).query(
        """
        SELECT format('%s %s', split_part(target, '.', 2) || '.' || split_part(target, '.', 3), method)
          FROM warden.masks WHERE target !~ '^shop\\.(customers|events)\\.' ORDER BY 1
        """)
      return rows.rows.compactMap { $0.first ?? nil }
    }

    fileprivate func labels() throws -> [String] {
      try shop.admin.query(
        """
        SELECT "column" || ' ' || label FROM warden.labels WHERE source = 'derived' ORDER BY 1
        """
      ).rows.compactMap { $0.first ?? nil }
    }

    /// What the analyst gets of a relation, by several doors, from a superuser's connection: never the mark.
    fileprivate func expectMasked(
      _ relation: String, _ title: String, on connection: Connection, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let real = try connection.query("SELECT t::text FROM \(relation) t").text
      #expect(real.contains(Shop.mark), "\(title): there is nothing to hide", sourceLocation: sourceLocation)
      try connection.query("GRANT ALL ON \(relation) TO analyst; SET ROLE analyst")
      for door in [
        "SELECT * FROM \(relation)", "SELECT t::text FROM \(relation) t", "COPY (TABLE \(relation)) TO STDOUT",
        "CREATE OR REPLACE TEMP VIEW seen AS TABLE \(relation); TABLE seen",
      ] {
        let seen = try connection.query(door).text
        #expect(
          !seen.isEmpty && !seen.contains(Shop.mark), "\(title), \(door): \(seen)", sourceLocation: sourceLocation)
      }
      try connection.query("RESET ROLE")
    }
  }
}

// MARK: - Roads

extension ServerTests.DerivedTests {
  /// `sql` fills `shop.copy`, or makes it where `setup` has dropped it; the masks that the copy has then.
  struct Road: CustomTestStringConvertible, Sendable {
    let title: String
    let setup: String
    let sql: String
    let masks: [String]

    init(_ title: String, setup: String = "", _ sql: String, _ masks: String...) {
      self.title = title
      self.setup = setup
      self.sql = sql
      self.masks = masks
    }

    var testDescription: String { title }
  }

  private static let away = "ALTER TABLE shop.copy RENAME TO old_copy"
  private static let email = "copy.e email"

  static let creations = [
    Road(
      "CREATE TABLE AS", setup: away, "CREATE TABLE shop.copy AS TABLE shop.customers", "copy.age null",
      "copy.email email", "copy.name redact", "copy.phone partial"),
    Road("columns named", setup: away, "CREATE TABLE shop.copy (i, e) AS SELECT id, email FROM shop.customers", email),
    Road("SELECT INTO", setup: away, "SELECT id, email AS e INTO shop.copy FROM shop.customers", email),
    Road(
      "CREATE MATERIALIZED VIEW", setup: away,
      "CREATE MATERIALIZED VIEW shop.copy AS SELECT email AS e FROM shop.customers", email),
    Road(
      "… WITH NO DATA", setup: away,
      """
      CREATE MATERIALIZED VIEW shop.copy AS SELECT email AS e FROM shop.customers WITH NO DATA;
      REFRESH MATERIALIZED VIEW shop.copy
      """, email),
    Road(
      "CREATE TABLE AS EXECUTE", setup: away,
      "PREPARE p AS SELECT email AS e FROM shop.customers; CREATE TABLE shop.copy AS EXECUTE p", email),
    Road(
      "EXPLAIN ANALYZE CREATE TABLE AS", setup: away,
      "EXPLAIN ANALYZE CREATE TABLE shop.copy AS SELECT email AS e FROM shop.customers", email),
    Road(
      "CREATE TABLE AS in a function", setup: away,
      "DO $$BEGIN CREATE TABLE shop.copy AS SELECT email AS e FROM shop.customers; END$$", email),
    Road(
      "of a partitioned table", setup: away, "CREATE TABLE shop.copy AS SELECT email AS e FROM shop.events", email),
    Road(
      "of a partition", setup: away, "CREATE TABLE shop.copy AS SELECT email AS e FROM shop.events_january", email),
    Road(
      "of a view", setup: "\(away); CREATE VIEW shop.v AS SELECT email AS x FROM shop.customers",
      "CREATE TABLE shop.copy AS SELECT x AS e FROM shop.v", email),
  ]

  static let writes = [
    Road("INSERT … SELECT", "INSERT INTO shop.copy (e) SELECT email FROM shop.customers", email),
    Road(
      "INSERT of a whole table", "INSERT INTO shop.copy SELECT id, email, name FROM shop.customers", email,
      "copy.n redact"),
    Road("prepared", "PREPARE p AS INSERT INTO shop.copy (e) SELECT email FROM shop.customers; EXECUTE p", email),
    Road(
      "scalar subquery", "INSERT INTO shop.copy (e) VALUES ((SELECT email FROM shop.customers WHERE id = 1))", email),
    Road("CTE", "WITH c AS (SELECT * FROM shop.customers) INSERT INTO shop.copy (e) SELECT email FROM c", email),
    Road(
      "recursive CTE",
      """
      INSERT INTO shop.copy (e) WITH RECURSIVE c (e, i) AS (
        SELECT email, 1 FROM shop.customers UNION ALL SELECT e, i + 1 FROM c WHERE i < 2) SELECT e FROM c
      """, email),
    Road(
      "RETURNING of a change",
      """
      WITH c AS (UPDATE shop.customers SET city = 'Bari' WHERE id = 1 RETURNING *)
      INSERT INTO shop.copy (e) SELECT email FROM c
      """, email),
    Road(
      "by way of another copy",
      """
      WITH c AS (INSERT INTO shop.orders SELECT id + 90, id, 1, email FROM shop.customers RETURNING note)
      INSERT INTO shop.copy (e) SELECT note FROM c
      """, email, "orders.note email"),
    Road(
      "within WITH",
      "WITH c AS (INSERT INTO shop.copy (e) SELECT email FROM shop.customers RETURNING 1) SELECT count(*) FROM c", email
    ),
    Road(
      "UNION", "INSERT INTO shop.copy (e) SELECT note FROM shop.orders UNION SELECT email FROM shop.customers", email),
    Road(
      "UNION of two masks",
      "INSERT INTO shop.copy (e) SELECT phone FROM shop.customers UNION SELECT email FROM shop.customers",
      "copy.e redact"),
    Road(
      "JOIN USING",
      "INSERT INTO shop.copy (e) SELECT j.email FROM (shop.customers a JOIN shop.customers b USING (id, email)) j",
      email),
    Road(
      "LATERAL",
      "INSERT INTO shop.copy (e) SELECT l.x FROM shop.customers c, LATERAL (SELECT c.email AS x) l", email),
    Road(
      "ON CONFLICT", setup: "CREATE UNIQUE INDEX ON shop.copy (id)",
      """
      INSERT INTO shop.copy VALUES (1, 'x');
      INSERT INTO shop.copy (id, n) SELECT id, email FROM shop.customers ON CONFLICT (id) DO UPDATE SET e = excluded.n
      """, email, "copy.n email"),
    Road(
      "UPDATE … FROM",
      """
      INSERT INTO shop.copy VALUES (1, 'x');
      UPDATE shop.copy p SET e = c.email FROM shop.customers c WHERE c.id = p.id
      """, email),
    Road(
      "UPDATE of several columns",
      """
      INSERT INTO shop.copy VALUES (1, 'x');
      UPDATE shop.copy p SET (n, e) = (SELECT name, email FROM shop.customers c WHERE c.id = p.id) WHERE id > 0
      """, email, "copy.n redact"),
    Road(
      "MERGE",
      """
      MERGE INTO shop.copy p USING shop.customers c ON c.id = p.id
      WHEN MATCHED THEN UPDATE SET n = c.name WHEN NOT MATCHED THEN INSERT (id, e) VALUES (c.id, c.email)
      """, email, "copy.n redact"),
    Road(
      "view that is updated", setup: "CREATE VIEW shop.v AS SELECT id, e AS x FROM shop.copy",
      "INSERT INTO shop.v SELECT id, email FROM shop.customers", email),
    Road(
      "rule", setup: "CREATE RULE r AS ON INSERT TO shop.orders DO INSTEAD INSERT INTO shop.copy (e) VALUES (NEW.note)",
      "INSERT INTO shop.orders SELECT id, id, 1, email FROM shop.customers", email),
    Road(
      "function", "DO $$BEGIN INSERT INTO shop.copy (e) SELECT email FROM shop.customers; END$$", email),
    Road(
      "variable",
      """
      DO $$DECLARE v text; BEGIN
        SELECT email INTO v FROM shop.customers WHERE id = 1; INSERT INTO shop.copy (e) VALUES (v); END$$
      """, email),
    Road(
      "loop",
      """
      DO $$DECLARE r record; BEGIN FOR r IN SELECT * FROM shop.customers LOOP
        INSERT INTO shop.copy (id, e) VALUES (r.id, r.email); END LOOP; END$$
      """, email),
    Road("max", "INSERT INTO shop.copy (e) SELECT max(email) FROM shop.customers", email),
    Road("lag", "INSERT INTO shop.copy (e) SELECT lag(email, 0) OVER () FROM shop.customers", email),
    Road("unnest", "INSERT INTO shop.copy (e) SELECT unnest(array_agg(email)) FROM shop.customers", email),
    Road(
      "CASE", "INSERT INTO shop.copy (e) SELECT CASE WHEN id > 1 THEN 'x' ELSE email END FROM shop.customers", email),
    Road("COALESCE", "INSERT INTO shop.copy (e) SELECT coalesce(email, 'x')::varchar(90) FROM shop.customers", email),
    Road("field of a row", "INSERT INTO shop.copy (e) SELECT (c).email FROM shop.customers c", email),
    Road("computed", "INSERT INTO shop.copy (e) SELECT 'x' || email FROM shop.customers", "copy.e redact"),
    Road("string_agg", "INSERT INTO shop.copy (e) SELECT string_agg(email, ',') FROM shop.customers", "copy.e redact"),
    Road("whole row", "INSERT INTO shop.copy (e) SELECT c FROM shop.customers c", "copy.e redact"),
    Road("to_jsonb", "INSERT INTO shop.copy (e) SELECT to_jsonb(c) FROM shop.customers c", "copy.e redact"),
    Road(
      "row_to_json of a join",
      "INSERT INTO shop.copy (e) SELECT row_to_json(j) FROM (shop.customers JOIN shop.orders USING (id)) j",
      "copy.e redact"),
    Road(
      "regexp", "INSERT INTO shop.copy (e) SELECT (regexp_matches(email, '.*'))[1] FROM shop.customers", "copy.e redact"
    ),
  ]

  @Test(arguments: creations + writes) func copiesAreMasked(_ road: Road) throws {
    try shop.connect("shop_owner").query(road.setup)
    try shop.admin.query("GRANT ALL ON ALL TABLES IN SCHEMA shop TO clerk")
    for role in ["shop_owner", "clerk"] {
      let maker = try shop.connect()
      try maker.query("BEGIN; SET ROLE \(role); \(road.sql); RESET ROLE")
      #expect(try masks(maker) == road.masks, "\(road.title) by \(role)")
      try expectMasked("shop.copy", road.title, on: maker)
      try maker.query("ROLLBACK")
    }
    // Nothing is left of what was rolled back; what is committed holds for every session.
    #expect(try masks().isEmpty)
    try shop.connect().query(road.sql)
    #expect(try masks() == road.masks, "\(road.title) by a superuser")
    try expectMasked("shop.copy", road.title, on: shop.connect())
  }
}

// MARK: - Triggers

extension ServerTests.DerivedTests {
  /// What a trigger does in the session of somebody who sees masks: it is handed real rows.
  static let triggers = [
    Road("OLD.email", "INSERT INTO shop.copy (e) VALUES (OLD.email)", email),
    Road("NEW.*", "INSERT INTO shop.copy SELECT NEW.id, NEW.email, NEW.name", email, "copy.n redact"),
    Road(
      "the row's columns", "INSERT INTO shop.twin SELECT NEW.*", "twin.age null", "twin.email email",
      "twin.name redact", "twin.phone partial"),
    Road("to_jsonb(OLD)", "INSERT INTO shop.copy (e) VALUES (to_jsonb(OLD))", "copy.e redact"),
    Road("format", "INSERT INTO shop.copy (e) VALUES (format('%s', OLD.email))", "copy.e redact"),
    Road("OLD::text", "INSERT INTO shop.copy (e) VALUES (OLD::text)", "copy.e redact"),
    Road("UPDATE", "UPDATE shop.copy SET e = OLD.email WHERE id = OLD.id", email),
    Road("a variable", "v := OLD.email; INSERT INTO shop.copy (e) VALUES (v)", email),
    Road(
      "a variable of a variable", "v := upper(OLD.email); w := v; INSERT INTO shop.copy (e) VALUES (w)", "copy.e redact"
    ),
    Road("a record", "r := OLD; INSERT INTO shop.copy (id, e) VALUES (r.id, r.email)", email),
  ]

  @Test(arguments: triggers) func copiesByTriggersAreMasked(_ road: Road) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE TABLE shop.twin (LIKE shop.customers);
      INSERT INTO shop.copy (id) VALUES (1);
      CREATE FUNCTION shop.log() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS
        $$DECLARE v text; w text; r record; BEGIN \(road.sql); RETURN NEW; END$$;
      CREATE TRIGGER log AFTER UPDATE ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.log()
      """)
    let analyst = try shop.connect("analyst")
    // The sixth time the plan is one for any values.
    for city in 1...7 { try analyst.query("UPDATE shop.customers SET city = '\(city)' WHERE id = 1") }
    #expect(try masks() == road.masks)
    let table = road.masks.first?.hasPrefix("twin") == true ? "shop.twin" : "shop.copy"
    try expectMasked(table, road.title, on: shop.connect())
  }
}

// MARK: - What the server computes

extension ServerTests.DerivedTests {
  @Test func whatWasMadeBeforeTheMaskFollowsIt() throws {
    try shop.admin.query(
      "SELECT warden.unmask(target) FROM warden.masks; SELECT warden.unlabel('shop.customers.email')")
    try shop.connect("shop_owner").query(
      """
      CREATE VIEW shop.v AS SELECT id, email AS x FROM shop.customers;
      CREATE MATERIALIZED VIEW shop.one AS SELECT * FROM shop.v;
      CREATE MATERIALIZED VIEW shop.two AS SELECT upper(x) AS y FROM shop.one;
      ALTER TABLE shop.customers ADD COLUMN low text GENERATED ALWAYS AS (lower(email)) STORED
      """)
    #expect(try masks().isEmpty)
    try shop.admin.query(
      """
      SELECT warden.mask('shop.customers.email', 'email'); SELECT warden.label('shop.customers.email', 'pii.email')
      """)
    #expect(try masks() == ["one.x email", "two.y redact"])
    #expect(
      try labels() == ["shop.customers.low pii.email", "shop.one.x pii.email", "shop.two.y pii.email"])
    for relation in ["shop.one", "shop.two", "shop.v"] {
      let analyst = try shop.connect()
      try analyst.query("GRANT SELECT ON \(relation) TO analyst; SET ROLE analyst")
      let seen = try analyst.query("TABLE \(relation)").text
      #expect(!seen.isEmpty && !seen.uppercased().contains(Shop.mark), "\(relation): \(seen)")
    }
    let low = try shop.connect("analyst").query("SELECT low FROM shop.customers").text
    #expect(!low.isEmpty && !low.uppercased().contains(Shop.mark), "\(low)")
  }

  @Test func columnsComputedOfOthersAreMasked() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      ALTER TABLE shop.customers ADD COLUMN low text GENERATED ALWAYS AS (lower(email)) STORED
      """)
    let methods = try shop.admin.query(
      "SELECT target, method FROM warden.masks WHERE target ~ 'low$' ORDER BY 1")
    #expect(methods.text == "shop.customers.low|redact")
    let seen = try shop.connect("analyst").query("SELECT low FROM shop.customers").text
    #expect(!seen.isEmpty && !seen.uppercased().contains(Shop.mark), "\(seen)")
  }
}

// MARK: - What carries nothing

extension ServerTests.DerivedTests {
  static let harmless = [
    Scenario("count", "INSERT INTO shop.copy (id) SELECT count(email) FROM shop.customers"),
    Scenario("count of distinct ones", "INSERT INTO shop.copy (id) SELECT count(DISTINCT email) FROM shop.customers"),
    Scenario("IS NULL", "INSERT INTO shop.copy (e) SELECT email IS NULL FROM shop.customers"),
    Scenario("comparison", "INSERT INTO shop.copy (e) SELECT email LIKE 'a%' AND age > 3 FROM shop.customers"),
    Scenario("EXISTS", "INSERT INTO shop.copy (e) SELECT EXISTS (SELECT email FROM shop.customers)"),
    Scenario("condition", "INSERT INTO shop.copy (e) SELECT city FROM shop.customers WHERE email LIKE 'a%'"),
    Scenario("order", "INSERT INTO shop.copy (id) SELECT row_number() OVER (ORDER BY email) FROM shop.customers"),
    Scenario("CASE", "INSERT INTO shop.copy (e) SELECT CASE WHEN age > 3 THEN 'x' END FROM shop.customers"),
    Scenario("other columns", "INSERT INTO shop.copy SELECT id, city FROM shop.customers"),
    Scenario("other fields", "INSERT INTO shop.copy (e) SELECT (c).city FROM shop.customers c"),
    Scenario("masked ones", "INSERT INTO shop.copy (e) SELECT email FROM warden_views.shop__customers"),
    Scenario("temporary table", "CREATE TEMP TABLE t AS TABLE shop.customers"),
    Scenario("EXPLAIN", "EXPLAIN INSERT INTO shop.copy (e) SELECT email FROM shop.customers"),
    Scenario("EXPLAIN of CREATE TABLE AS", "EXPLAIN CREATE TABLE shop.c AS TABLE shop.customers"),
    Scenario("table that is there", "CREATE TABLE IF NOT EXISTS shop.copy AS TABLE shop.customers"),
  ]

  @Test(arguments: harmless) func nothingToInherit(_ scenario: Scenario) throws {
    try shop.connect("shop_owner").query(scenario.sql)
    #expect(try masks().isEmpty)
    #expect(try labels().isEmpty)
  }

  @Test func whatIsSeenMaskedCarriesNothing() throws {
    let analyst = try shop.connect("analyst")
    try analyst.query(
      "CREATE TABLE lab.copy AS TABLE shop.customers; INSERT INTO shop.copy (e) SELECT email FROM shop.customers")
    #expect(try masks().isEmpty)
    #expect(try labels().isEmpty)
    #expect(try !shop.admin.query("TABLE lab.copy").text.contains(Shop.mark))
  }
}

// MARK: - When

extension ServerTests.DerivedTests {
  @Test func aPreparedStatementLearnsOfMasks() throws {
    try shop.admin.query("SELECT warden.unmask('shop.customers.email'); SELECT warden.unlabel('shop.customers.email')")
    let owner = try shop.connect("shop_owner")
    try owner.query("PREPARE p AS INSERT INTO shop.copy (e) SELECT email FROM shop.customers; EXECUTE p")
    #expect(try masks().isEmpty)
    try shop.admin.query("SELECT warden.mask('shop.customers.email', 'email')")
    try owner.query("BEGIN; EXECUTE p; ROLLBACK")
    #expect(try masks().isEmpty)
    try owner.query("EXECUTE p")
    #expect(try masks() == ["copy.e email"])
    #expect(try labels().isEmpty)
  }

  @Test func theRecordTellsWhatWasDerivedOfWhat() throws {
    try shop.connect("shop_owner").query("INSERT INTO shop.copy (e) SELECT email FROM shop.customers")
    let events = try shop.audit(where: "event = 'policy'").compactMap { $0["statement"] }
    #expect(events == ["derive shop.copy.e: label pii.email, mask email, from shop.customers.email"])
    #expect(try labels() == ["shop.copy.e pii.email"])
  }

  @Test func twoSessionsAtOnceMakeOneMask() throws {
    let one = try shop.connect("shop_owner")
    let other = try shop.connect("clerk")
    try one.query("BEGIN; INSERT INTO shop.copy (e) SELECT email FROM shop.customers")
    try other.send("INSERT INTO shop.copy (e) SELECT email FROM shop.customers")
    try one.query("COMMIT")
    _ = try other.receive()
    #expect(try masks() == ["copy.e email"])
    #expect(try shop.admin.query("SELECT count(*) FROM shop.copy").value == "6")
  }

  @Test func aViewThatOnlyItsTriggerWritesIsRefused() throws {
    try shop.connect("shop_owner").query(
      """
      CREATE VIEW shop.v AS SELECT 'x'::text AS e;
      CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO shop.copy (e) VALUES (NEW.e); RETURN NEW; END$$;
      CREATE TRIGGER t INSTEAD OF INSERT ON shop.v FOR EACH ROW EXECUTE FUNCTION shop.f()
      """)
    let error = try shop.connect("shop_owner").error("INSERT INTO shop.v SELECT email FROM shop.customers")
    #expect(error?.sqlstate == "42501" && error?.hint.isEmpty == false, "\(error?.text ?? "no error")")
    #expect(try shop.admin.query("SELECT count(*) FROM shop.copy").value == "0")
  }

  /// The first mask of a database: nothing of the policy was loaded before.
  @Test func theFirstMaskReachesWhatIsThere() throws {
    try shop.refill()
    try shop.connect("shop_owner").query(
      """
      CREATE MATERIALIZED VIEW shop.emails AS SELECT id, email FROM shop.customers;
      ALTER TABLE shop.customers ADD loud text GENERATED ALWAYS AS (upper(email)) STORED;
      GRANT SELECT ON shop.emails, shop.customers TO analyst
      """)
    try shop.connect("policy_admin").query("SELECT warden.mask('shop.customers.email', 'email')")
    let analyst = try shop.connect("analyst")
    for sql in ["SELECT email FROM shop.emails", "SELECT loud FROM shop.customers"] {
      #expect(try !analyst.query(sql).text.contains(Shop.mark), "\(sql)")
    }
  }
}
