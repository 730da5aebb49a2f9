import Testing

extension ServerTests {
  /// DDL names what it changes, what it is made on, and what it makes: guards meet it by class.
  @Suite struct NamedDDLTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "named_ddl")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }
  }
}

extension ServerTests.NamedDDLTests {
  private static let function = "CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"

  /// Setting up, the statement, and what a guard on `shop.orders` or the like is for.
  static let named: [(setup: String, sql: String, statements: String, objects: String)] = [
    ("", "CREATE INDEX ON shop.orders (note)", "create", "shop.orders"),
    ("", "CREATE STATISTICS lab.s ON id, note FROM shop.orders", "create", "shop.orders"),
    (
      function, "CREATE TRIGGER t BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.f()", "create",
      "shop.orders"
    ),
    ("", "CREATE RULE r AS ON INSERT TO shop.orders DO ALSO NOTHING", "create", "shop.orders"),
    ("", "CREATE POLICY p ON shop.orders USING (true)", "create", "shop.orders"),
    (
      "CREATE POLICY p ON shop.orders USING (true)", "ALTER POLICY p ON shop.orders USING (false)", "alter",
      "shop.orders"
    ),
    ("CREATE POLICY p ON shop.orders USING (true)", "DROP POLICY p ON shop.orders", "alter", "shop.orders"),
    ("CREATE RULE r AS ON INSERT TO shop.orders DO ALSO NOTHING", "DROP RULE r ON shop.orders", "ddl", "shop.orders"),
    ("", "ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY", "alter", "shop.orders"),
    ("", "ALTER TABLE shop.orders DISABLE TRIGGER ALL", "alter", "shop.orders"),
    ("", "COMMENT ON TABLE shop.orders IS 'x'", "ddl", "shop.orders"),
    ("", "COMMENT ON COLUMN shop.orders.note IS 'x'", "ddl", "shop.orders"),
    ("", "CREATE PUBLICATION named FOR TABLE shop.orders", "alter", "shop.orders"),
    ("CREATE PUBLICATION added", "ALTER PUBLICATION added ADD TABLE shop.orders", "alter", "shop.orders"),
    ("", "CREATE TABLE lab.child () INHERITS (shop.orders)", "create", "shop.orders"),
    ("", "CREATE TABLE lab.copy (LIKE shop.orders)", "create", "shop.orders"),
    (
      "", "CREATE TABLE lab.march PARTITION OF shop.events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')", "create",
      "shop.events"
    ),
    ("", "CREATE TABLE shop.later (id int)", "create", "shop.later"),
    ("", "CREATE VIEW shop.later AS SELECT 1 AS one", "create", "shop.later"),
    ("", "CREATE TABLE shop.later AS SELECT 1 AS one", "create", "shop.later"),
    ("", "CREATE FUNCTION shop.later() RETURNS int LANGUAGE sql AS 'SELECT 1'", "create", "function:shop.later"),
    (function, "CREATE OR REPLACE \(function.dropFirst(7))", "create", "function:shop.f"),
    (function, "ALTER FUNCTION shop.f() COST 7", "alter", "function:shop.f"),
    (function, "ALTER FUNCTION shop.f() OWNER TO analyst", "alter", "function:shop.f"),
    ("CREATE TYPE shop.mood AS ENUM ('ok')", "ALTER TYPE shop.mood ADD VALUE 'well'", "alter", "shop.*"),
    ("CREATE DOMAIN shop.d AS int", "ALTER DOMAIN shop.d SET NOT NULL", "alter", "shop.*"),
    ("CREATE SEQUENCE shop.s", "ALTER SEQUENCE shop.s RESTART", "alter", "shop.s"),
    ("", "CREATE TYPE shop.mood AS ENUM ('ok')", "create", "shop.*"),
    ("", "CREATE AGGREGATE shop.total (int) (SFUNC = int4pl, STYPE = int)", "create", "shop.*"),
    ("SET search_path = shop", "CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'SELECT 1'", "create", "shop.*"),
    ("SET search_path = shop", "CREATE TABLE later (id int)", "create", "shop.later"),
    ("", "ALTER DATABASE named_ddl SET work_mem = '5MB'", "alter", "database:named_ddl"),
    ("", "CREATE SCHEMA made GRANT SELECT ON shop.orders TO analyst", "grant", "shop.orders"),
    ("", "CREATE SCHEMA made CREATE TABLE t () INHERITS (shop.orders)", "create", "shop.orders"),
    (
      "CREATE MATERIALIZED VIEW shop.m AS SELECT 1 AS one", "REFRESH MATERIALIZED VIEW shop.m WITH NO DATA", "truncate",
      "shop.m"
    ),
  ]

  @Test(arguments: named.indices) func guardMeetsWhatIsNamed(_ index: Int) throws {
    let row = Self.named[index]
    let superuser = try shop.connect()
    if !row.setup.isEmpty { try superuser.query(row.setup) }
    try superuser.query(
      "SELECT warden.guard('keep', 'block', '{\(row.statements)}', '{\(row.objects)}', priority => 9)")
    try shop.expectRefusal(of: row.sql, by: "keep", on: superuser)
    try superuser.query("SELECT warden.unguard('keep')")
    try superuser.query("SELECT warden.break_glass('cleaning up'); DROP PUBLICATION IF EXISTS added")
  }

  @Test func otherObjectsAreNotMet() throws {
    let superuser = try shop.connect()
    try superuser.query(
      "SELECT warden.guard('keep', 'block', '{ddl}', '{shop.parcels,shop.later,function:shop.later}', priority => 9)")
    for row in Self.named where row.objects == "shop.orders" && row.statements != "grant" && !row.sql.contains("SCHEMA")
    {
      try superuser.query("BEGIN; \(row.setup.isEmpty ? "SELECT 1" : row.setup); \(row.sql); ROLLBACK")
    }
    try superuser.query("CREATE TABLE shop.latest (id int); CREATE TEMP TABLE later (id int)")
  }
}

// MARK: - Owners of masked tables

extension ServerTests.NamedDDLTests {
  @Test func ownershipOfAMaskedTableIsNotGivenAway() throws {
    try shop.mask()
    try shop.admin.query("GRANT analyst TO shop_owner; GRANT CREATE ON SCHEMA shop TO analyst")
    let owner = try shop.connect("shop_owner")
    for sql in [
      "ALTER TABLE shop.customers OWNER TO analyst", "REASSIGN OWNED BY shop_owner TO analyst",
      "ALTER TABLE shop.events_january OWNER TO analyst",
    ] {
      let error = owner.error(sql)
      #expect(
        error?.sqlstate == "42501" && error?.message.contains("masked table") == true, "\(sql): \(error?.text ?? "")")
    }
    #expect(owner.error("ALTER TABLE shop.parcels OWNER TO analyst") == nil)
    let analyst = try shop.connect("analyst").query("SELECT email FROM shop.customers WHERE id = 1").text
    #expect(!analyst.contains(Shop.mark))
    try shop.admin.query("REVOKE analyst FROM shop_owner")
    // A superuser may, and it is recorded.
    try shop.connect().query("ALTER TABLE shop.customers OWNER TO analyst")
    #expect(try shop.audit(where: "command = 'ALTER TABLE' AND outcome = 'committed'").isEmpty == false)
  }

  @Test func membershipInTheOwnerIsNotGivenAway() throws {
    try shop.mask()
    let admin = try shop.connect()
    try admin.query("DROP ROLE IF EXISTS maker; CREATE ROLE maker LOGIN CREATEROLE")
    let maker = try shop.connect("maker")
    for sql in [
      "GRANT shop_owner TO maker", "CREATE ROLE fresh IN ROLE shop_owner", "ALTER GROUP shop_owner ADD USER maker",
      "GRANT warden_admin TO maker", "GRANT policy_admin TO maker", "CREATE ROLE fresh IN ROLE warden_admin",
      "ALTER ROLE shop_owner PASSWORD 'x'", "ALTER ROLE policy_admin PASSWORD 'x'",
    ] {
      #expect(maker.error(sql)?.sqlstate == "42501", "\(sql)")
    }
    #expect(maker.error("ALTER ROLE clerk PASSWORD NULL; GRANT clerk TO maker; REVOKE clerk FROM maker") == nil)
    try admin.query("SELECT warden.exempt('{role:clerk}')")
    #expect(maker.error("GRANT clerk TO maker")?.sqlstate == "42501")
    #expect(maker.error("ALTER ROLE clerk PASSWORD 'x'")?.sqlstate == "42501")
    try admin.query("SELECT warden.revoke_exemption(id) FROM warden.exemptions")
    #expect(maker.error("CREATE ROLE other IN ROLE clerk") == nil)
    try admin.query("DROP ROLE other; GRANT shop_owner TO clerk; REVOKE shop_owner FROM clerk")
  }
}
