import Testing

extension ServerTests {
  /// What DDL takes along is decided on before anything is removed, and the refusal tells the way to it.
  @Suite struct DependencyTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "dependencies")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query(
        """
        SELECT warden.guard('may', 'allow', '{ddl}', '{*}', priority => -1);
        SELECT warden.guard('may-drop', 'allow', '{drop,truncate,drop_column,alter}', priority => 5);
        """)
    }
  }
}

/// A road from what a statement names to the table that is guarded.
struct Road: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let setup: String
  let sql: String
  /// Objects of schema shop that a guard is for.
  let guarded: String
  let statements: String
  let message: String
  let chain: String

  init(
    _ title: String, _ setup: String, _ sql: String, guarded: String = "shop.parcels",
    against statements: String = "drop",
    message: String, chain: String
  ) {
    testDescription = title
    self.setup = setup
    self.sql = sql
    self.guarded = guarded
    self.statements = statements
    self.message = message
    self.chain = chain
  }
}

extension ServerTests.DependencyTests {
  static let roads = [
    Road(
      "schema", "", "DROP SCHEMA shop CASCADE",
      message: "DROP SCHEMA shop is blocked: it would drop table shop.parcels",
      chain: "schema shop -> table shop.parcels"),
    Road(
      "type of a column",
      "CREATE SCHEMA crm; CREATE DOMAIN crm.money AS numeric; ALTER TABLE shop.parcels ADD price crm.money",
      "DROP SCHEMA crm CASCADE", against: "drop_column",
      message: "DROP SCHEMA crm is blocked: it would drop column shop.parcels.price",
      chain: "schema crm -> type crm.money -> column shop.parcels.price"),
    Road(
      "array of a type",
      "CREATE TYPE lab.mood AS ENUM ('ok'); ALTER TABLE shop.parcels ADD moods lab.mood[]",
      "DROP TYPE lab.mood CASCADE", against: "drop_column",
      message: "DROP TYPE lab.mood is blocked: it would drop column shop.parcels.moods",
      chain: "type lab.mood -> type lab.mood[] -> column shop.parcels.moods"),
    Road(
      "row type of a table",
      "CREATE TABLE lab.t (a int); ALTER TABLE shop.parcels ADD t lab.t", "DROP TABLE lab.t CASCADE",
      against: "drop_column",
      message: "DROP TABLE lab.t is blocked: it would drop column shop.parcels.t",
      chain: "table lab.t -> type lab.t -> column shop.parcels.t"),
    Road(
      "view over a view",
      "CREATE VIEW lab.v AS SELECT * FROM shop.parcels; CREATE VIEW shop.w AS SELECT * FROM lab.v",
      "DROP VIEW lab.v CASCADE", guarded: "shop.w", message: "DROP VIEW lab.v is blocked: it would drop view shop.w",
      chain: "view lab.v -> view shop.w"),
    Road(
      "materialized view",
      "CREATE TABLE lab.t (a int); CREATE MATERIALIZED VIEW shop.m AS SELECT * FROM lab.t",
      "DROP TABLE lab.t CASCADE", guarded: "shop.m",
      message: "DROP TABLE lab.t is blocked: it would drop materialized view shop.m",
      chain: "table lab.t -> materialized view shop.m"),
    Road(
      "view on a column",
      "CREATE TABLE lab.t (a int, b int); CREATE VIEW shop.w AS SELECT b FROM lab.t",
      "ALTER TABLE lab.t DROP COLUMN b CASCADE", guarded: "shop.w",
      message: "ALTER TABLE lab.t is blocked: it would drop view shop.w",
      chain: "column lab.t.b -> view shop.w"),
    Road(
      "function of a view",
      "CREATE FUNCTION lab.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        + "CREATE VIEW shop.w AS SELECT lab.f()", "DROP FUNCTION lab.f CASCADE", guarded: "shop.w",
      message: "DROP FUNCTION lab.f is blocked: it would drop view shop.w",
      chain: "function lab.f -> view shop.w"),
    Road(
      "role that owns", "", "DROP OWNED BY shop_owner CASCADE",
      message: "DROP OWNED shop_owner is blocked: it would drop table shop.parcels",
      chain: "role shop_owner -> table shop.parcels"),
    Road(
      "members of an extension, and what uses them",
      "CREATE EXTENSION IF NOT EXISTS citext SCHEMA lab; ALTER TABLE shop.parcels ADD tag lab.citext",
      "DROP EXTENSION citext CASCADE", against: "drop_column",
      message: "DROP EXTENSION citext is blocked: it would drop column shop.parcels.tag",
      chain: "extension citext -> type lab.citext -> column shop.parcels.tag"),
    Road(
      "owned sequence", "CREATE TABLE shop.t (a int); CREATE SEQUENCE shop.numbers OWNED BY shop.t.a",
      "DROP TABLE shop.t", guarded: "shop.numbers",
      message: "DROP TABLE shop.t is blocked: it would drop sequence shop.numbers",
      chain: "table shop.t -> sequence shop.numbers"),
    Road(
      "owned sequence of a column",
      "CREATE TABLE shop.t (a int, b int); CREATE SEQUENCE shop.numbers OWNED BY shop.t.a",
      "ALTER TABLE shop.t DROP COLUMN a", guarded: "shop.numbers",
      message: "ALTER TABLE shop.t is blocked: it would drop sequence shop.numbers",
      chain: "column shop.t.a -> sequence shop.numbers"),
    Road(
      "child table", "CREATE TABLE lab.t (a int); CREATE TABLE shop.child () INHERITS (lab.t)",
      "DROP TABLE lab.t CASCADE", guarded: "shop.child",
      message: "DROP TABLE lab.t is blocked: it would drop table shop.child",
      chain: "table lab.t -> table shop.child"),
    Road(
      "column of a child", "CREATE TABLE lab.t (a int, b int); CREATE TABLE shop.child () INHERITS (lab.t)",
      "ALTER TABLE lab.t DROP COLUMN b", guarded: "shop.child.b", against: "drop_column",
      message: "ALTER TABLE lab.t is blocked: it would drop column shop.child.b",
      chain: "column lab.t.b -> column shop.child.b"),
    Road(
      "partition", "", "DROP TABLE shop.events", guarded: "shop.events_january",
      message: "DROP TABLE shop.events is blocked: it would drop table shop.events_january",
      chain: "partitioned table shop.events -> table shop.events_january"),
    Road(
      "foreign server",
      "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
        + "CREATE FOREIGN TABLE shop.far (a int) SERVER s", "DROP FOREIGN DATA WRAPPER w CASCADE", guarded: "shop.far",
      message: "DROP FOREIGN DATA WRAPPER w is blocked: it would drop foreign table shop.far",
      chain: "foreign-data wrapper w -> server s -> foreign table shop.far"),
    Road(
      "access method",
      "CREATE ACCESS METHOD pile TYPE TABLE HANDLER heap_tableam_handler; "
        + "CREATE TABLE shop.heap (a int) USING pile", "DROP ACCESS METHOD pile CASCADE", guarded: "shop.heap",
      message: "DROP ACCESS METHOD pile is blocked: it would drop table shop.heap",
      chain: "access method pile -> table shop.heap"),
    Road(
      "foreign key of another table", "", "DROP TABLE shop.customers CASCADE", guarded: "shop.orders", against: "alter",
      message: "DROP TABLE shop.customers is blocked: it would alter table shop.orders",
      chain: "table shop.customers -> table constraint orders_customer_id_fkey on shop.orders"),
    Road(
      "primary key", "", "ALTER TABLE shop.customers DROP CONSTRAINT customers_pkey CASCADE", guarded: "shop.orders",
      against: "alter",
      message: "ALTER TABLE customers_pkey on shop.customers is blocked: it would alter table shop.orders",
      chain: "orders_customer_id_fkey on shop.orders"),
    Road(
      "trigger by its function",
      "CREATE FUNCTION lab.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        + "CREATE TRIGGER t BEFORE INSERT ON shop.parcels FOR EACH ROW EXECUTE FUNCTION lab.f()",
      "DROP FUNCTION lab.f CASCADE", against: "alter",
      message: "DROP FUNCTION lab.f is blocked: it would alter table shop.parcels",
      chain: "function lab.f -> trigger t on shop.parcels"),
    Road(
      "TRUNCATE", "", "TRUNCATE shop.customers CASCADE", guarded: "shop.orders", against: "truncate",
      message: "TRUNCATE TABLE shop.customers is blocked: it would truncate table shop.orders",
      chain: "table shop.customers -> table shop.orders"),
    Road(
      "TRUNCATE of a partition with its parent", "", "TRUNCATE shop.events", guarded: "shop.events_january",
      against: "truncate",
      message: "TRUNCATE TABLE shop.events is blocked: it would truncate table shop.events_january",
      chain: "partitioned table shop.events -> table shop.events_january"),
    Road(
      "REASSIGN OWNED", "", "REASSIGN OWNED BY shop_owner TO analyst", against: "alter",
      message: "REASSIGN OWNED shop_owner is blocked: it would alter table shop.parcels",
      chain: "role shop_owner -> table shop.parcels"),
  ]

  @Test(arguments: roads) func wayToWhatWouldFallIsTold(_ road: Road) throws {
    let superuser = try shop.connect()
    try superuser.query("BEGIN; SELECT warden.break_glass('setting up'); COMMIT")
    if !road.setup.isEmpty { try superuser.query(road.setup) }
    try superuser.query("SELECT warden.break_glass_end()")
    try superuser.query(
      "SELECT warden.guard('keep', 'block', '{\(road.statements)}', '{\(road.guarded)}', priority => 9)")
    try shop.expectRefusal(of: road.sql, by: "keep", on: superuser)
    let error = try #require(superuser.error(road.sql))
    #expect(error.message == road.message)
    #expect(error.detail.contains("chain: ") && error.detail.contains(road.chain), "\(error.detail)")
    try shop.expectRefusal(of: "DO $$BEGIN EXECUTE '\(road.sql)'; END$$", by: "keep", on: superuser)
    try clean()
  }

  /// What a case made beyond schemas shop and lab.
  private func clean() throws {
    let superuser = try shop.connect()
    try superuser.query(
      """
      SELECT warden.break_glass('the test cleans up');
      DROP SCHEMA IF EXISTS crm CASCADE;
      DROP EXTENSION IF EXISTS citext CASCADE;
      DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE;
      DROP ACCESS METHOD IF EXISTS pile CASCADE;
      """)
  }
}

// MARK: - Where the server has the word

extension ServerTests.DependencyTests {
  @Test func withoutCascadeTheServerSpeaks() throws {
    let owner = try shop.connect("shop_owner")
    try shop.connect().query(
      "SELECT warden.guard('keep', 'block', '{drop,alter}', '{shop.large_orders}', priority => 9)")
    for sql in ["DROP TABLE shop.orders", "ALTER TABLE shop.orders DROP COLUMN total", "DROP SCHEMA shop"] {
      #expect(owner.error(sql)?.sqlstate == "2BP01", "\(sql)")
    }
    #expect(owner.error("DROP TABLE shop.nowhere")?.sqlstate == "42P01")
    #expect(owner.error("DROP TABLE IF EXISTS shop.nowhere") == nil)
    #expect(owner.error("TRUNCATE shop.customers")?.sqlstate == "0A000")
  }

  @Test func whatIsNotGuardedFalls() throws {
    let owner = try shop.connect("shop_owner")
    try shop.connect().query("SELECT warden.guard('keep', 'block', '{drop}', '{shop.parcels}', priority => 9)")
    try owner.query("DROP TABLE shop.customers CASCADE; DROP VIEW shop.all_orders")
    let record = try #require(try shop.audit(where: "command = 'DROP TABLE'").first)
    #expect(record["decision"] == "allowed" && record["outcome"] == "committed")
    #expect(try shop.touched(where: "command = 'DROP TABLE'").contains("drop orders_customer_id_fkey on shop.orders"))
    try owner.query("CREATE TEMP TABLE t (a int); CREATE TEMP VIEW v AS SELECT * FROM t; DROP TABLE t CASCADE")
  }

  @Test func refusalNamesAllThatWouldHaveFallen() throws {
    let owner = try shop.connect("shop_owner")
    try shop.connect().query("SELECT warden.guard('keep', 'block', '{drop}', '{shop.large_orders}', priority => 9)")
    try shop.expectRefusal(of: "DROP TABLE shop.customers, shop.orders CASCADE", by: "keep", on: owner)
    let touched = try shop.touched(where: "guard = 'keep'")
    #expect(touched.contains("drop shop.orders"))
    #expect(touched.contains("drop shop.large_orders via table shop.orders"), "\(touched)")
    #expect(touched.contains("drop shop.all_orders via table shop.orders"))
  }

  @Test func monitorRecordsWhatWouldHaveBeenRefused() throws {
    try shop.connect().query("SELECT warden.guard('watch', 'alert', '{drop}', '{shop.large_orders}', priority => 9)")
    try shop.connect("shop_owner").query("DROP TABLE shop.orders CASCADE")
    let record = try #require(try shop.audit(where: "command = 'DROP TABLE'").first)
    #expect(record["guard"] == "watch" && record["outcome"] == "committed")
  }

  @Test func columnOfATableThatStaysIsWhatIsMeant() throws {
    let owner = try shop.connect("shop_owner")
    try shop.connect().query("SELECT warden.guard('keep', 'block', '{alter}', '{shop.customers.city}', priority => 9)")
    #expect(owner.error("ALTER TABLE shop.customers DROP COLUMN age") == nil)
    #expect(owner.error("ALTER TABLE shop.customers ALTER phone SET DEFAULT 1") == nil)
    try shop.expectRefusal(of: "ALTER TABLE shop.customers ALTER city SET DEFAULT 1", by: "keep", on: owner)
    try shop.expectRefusal(of: "ALTER TABLE shop.customers DROP COLUMN city CASCADE", by: "keep", on: owner)
  }

  static let wipes = [
    "ALTER TABLE shop.orders ALTER note TYPE text USING 'gone'",
    "ALTER TABLE shop.orders ALTER note TYPE text USING NULL",
    "ALTER TABLE shop.orders ALTER note TYPE int USING id",
    "ALTER TABLE shop.orders ALTER note TYPE text USING shop.orders.id::text",
  ]

  @Test(arguments: wipes) func typeChangeThatWipesAColumnDropsIt(_ sql: String) throws {
    try shop.admin.query("SELECT warden.unguard('may-drop')")
    try shop.expectRefusal(of: sql, by: "destructive-ddl", sqlstate: "WD001", on: try shop.connect("shop_owner"))
  }

  static let conversions = [
    "ALTER TABLE shop.orders ALTER note TYPE varchar(20)",
    "ALTER TABLE shop.orders ALTER note TYPE varchar(20) USING upper(note)",
    "ALTER TABLE shop.customers ALTER age TYPE text USING (customers).age::text",
    "ALTER TABLE shop.customers ALTER city TYPE text USING shop.customers.city || '!'",
  ]

  @Test(arguments: conversions) func typeChangeThatConvertsIsAnAlter(_ sql: String) throws {
    try shop.admin.query("SELECT warden.unguard('may-drop')")
    let owner = try shop.connect("shop_owner")
    try owner.query("SELECT 1")
    let error = owner.error(sql)
    // Views stand in the way of some: the server's own word.
    #expect(error == nil || error?.sqlstate == "0A000", "\(error?.text ?? "")")
  }
}
