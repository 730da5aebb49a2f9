import Testing

extension ServerTests {
  /// No way out of protection: what is renamed, moved, detached or swapped stays guarded, or stays where it is.
  @Suite struct MoveTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "moves")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query("SELECT warden.guard('may-drop', 'allow', '{drop,drop_column}', priority => 5)")
    }

    private func keep(_ statements: String, _ objects: String) throws {
      try shop.connect().query("SELECT warden.guard('keep', 'block', '{\(statements)}', '{\(objects)}', priority => 9)")
    }
  }
}

extension ServerTests.MoveTests {
  static let leaving = [
    Scenario("SET SCHEMA", "ALTER TABLE shop.parcels SET SCHEMA lab"),
    Scenario("SET SCHEMA of a view", "ALTER VIEW shop.all_orders SET SCHEMA lab"),
    Scenario(
      "SET SCHEMA of a function", setup: "CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "ALTER FUNCTION shop.f() SET SCHEMA lab"),
    Scenario(
      "SET SCHEMA of a type", setup: "CREATE TYPE shop.mood AS ENUM ('ok')", "ALTER TYPE shop.mood SET SCHEMA lab"),
    Scenario(
      "SET SCHEMA of an extension", setup: "CREATE EXTENSION citext SCHEMA shop",
      "ALTER EXTENSION citext SET SCHEMA lab"),
    Scenario("in DO", "DO $$BEGIN EXECUTE 'ALTER TABLE shop.par' || 'cels SET SCHEMA lab'; END$$"),
    Scenario(
      "in a function",
      setup: "CREATE FUNCTION lab.f() RETURNS void LANGUAGE sql AS 'ALTER TABLE shop.parcels SET SCHEMA lab'",
      "SELECT lab.f()"),
  ]

  @Test(arguments: leaving) func guardOnTheSchemaDecidesAboutLeavingIt(_ scenario: Scenario) throws {
    let superuser = try shop.connect()
    try superuser.query("SELECT warden.break_glass('setting up')")
    if !scenario.setup.isEmpty { try superuser.query(scenario.setup) }
    try superuser.query("SELECT warden.break_glass_end()")
    try keep("delete", "shop.*")
    try shop.expectRefusal(of: scenario.sql, by: "keep", on: superuser)
    let moved = "SELECT count(*) FROM pg_class WHERE relnamespace = 'lab'::regnamespace"
    #expect(try shop.admin.query(moved).value == "0")
    try superuser.query("SELECT warden.break_glass('cleaning up'); DROP EXTENSION IF EXISTS citext")
  }

  @Test func whatIsNotGuardedMoves() throws {
    try keep("delete", "shop.orders")
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.parcels SET SCHEMA lab; ALTER TABLE lab.parcels RENAME TO bundles")
    try owner.query("ALTER TABLE shop.orders SET SCHEMA lab; ALTER TABLE lab.orders RENAME TO purchases")
    try shop.connect().query("ALTER TABLE lab.purchases OWNER TO analyst")
    // The guard went along.
    let error = try #require(try shop.connect("analyst").error("DELETE FROM lab.purchases WHERE id = 1"))
    #expect(error.detail.contains("Guard \"keep\""))
    try shop.admin.query("ALTER TABLE lab.purchases SET SCHEMA shop; ALTER TABLE shop.purchases RENAME TO orders")
    try shop.admin.query("ALTER TABLE lab.bundles SET SCHEMA shop; ALTER TABLE shop.bundles RENAME TO parcels")
  }

  @Test func guardOnTheParentDecidesAboutLeavingIt() throws {
    try shop.admin.query("CREATE TABLE shop.more_parcels () INHERITS (shop.parcels)")
    try keep("delete", "shop.events,shop.parcels")
    let superuser = try shop.connect()
    for sql in [
      "ALTER TABLE shop.events DETACH PARTITION shop.events_january",
      "ALTER TABLE shop.events DETACH PARTITION shop.events_january CONCURRENTLY",
      "ALTER TABLE shop.more_parcels NO INHERIT shop.parcels",
    ] {
      try shop.expectRefusal(of: sql, by: "keep", on: superuser)
    }
    try shop.expectRefusal(of: "DELETE FROM shop.events_january WHERE id = 1", by: "keep", on: superuser)
  }

  @Test func tableSwappedInIsGuardedAsIsTheOneSwappedOut() throws {
    try keep("delete", "shop.parcels")
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE TABLE shop.fresh (LIKE shop.parcels); INSERT INTO shop.fresh VALUES (1, 1);
      BEGIN; ALTER TABLE shop.parcels RENAME TO old; ALTER TABLE shop.fresh RENAME TO parcels; COMMIT
      """)
    #expect(owner.error("DELETE FROM shop.parcels WHERE id = 1")?.detail.contains("Guard \"keep\"") == true)
    #expect(owner.error("DELETE FROM shop.old WHERE id = 1")?.detail.contains("Guard \"keep\"") == true)
    try owner.query("DROP TABLE shop.parcels; CREATE TABLE shop.parcels (id int, weight int)")
    #expect(owner.error("DELETE FROM shop.parcels WHERE id = 1")?.detail.contains("Guard \"keep\"") == true)
    // In other sessions, and after the policy was loaded anew.
    try shop.connect().query("SELECT warden.guard('other', 'block', '{delete}', '{legacy.people}')")
    let other = try shop.connect("shop_owner")
    #expect(other.error("DELETE FROM shop.parcels WHERE id = 1")?.detail.contains("Guard \"keep\"") == true)
    #expect(other.error("DELETE FROM shop.old WHERE id = 1")?.detail.contains("Guard \"keep\"") == true)
  }

  @Test func schemaIsFollowedByItsGuard() throws {
    try keep("delete", "shop.*")
    let superuser = try shop.connect()
    try superuser.query("ALTER SCHEMA shop RENAME TO store")
    let reader = try shop.connect("shop_owner")
    let renamed = reader.error("DELETE FROM store.parcels WHERE id = 1")
    // Loaded anew: known by its OID still.
    try superuser.query("SELECT warden.guard('other', 'block', '{delete}', '{legacy.people}')")
    let reloaded = reader.error("DELETE FROM store.parcels WHERE id = 1")
    try superuser.query("CREATE SCHEMA shop AUTHORIZATION shop_owner; CREATE TABLE shop.t (id int)")
    let fresh = superuser.error("DELETE FROM shop.t WHERE id = 1")
    try superuser.query("DROP TABLE shop.t; DROP SCHEMA shop; ALTER SCHEMA store RENAME TO shop")
    for error in [renamed, reloaded, fresh] { #expect(error?.detail.contains("Guard \"keep\"") == true) }
  }

  @Test func columnIsFollowedByItsGuard() throws {
    try keep("update", "shop.customers.email,shop.events.email")
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.customers RENAME email TO mail; ALTER TABLE shop.events RENAME email TO mail")
    for connection in [owner, try shop.connect("shop_owner")] {
      for sql in [
        "UPDATE shop.customers SET mail = '' WHERE id = 1", "UPDATE shop.events SET mail = '' WHERE id = 1",
        "UPDATE shop.events_january SET mail = '' WHERE id = 1",
      ] {
        #expect(connection.error(sql)?.detail.contains("Guard \"keep\"") == true, "\(sql)")
      }
      try shop.connect().query("SELECT warden.guard('other', 'block', '{delete}', '{legacy.people}')")
    }
    try owner.query("ALTER TABLE shop.customers DROP COLUMN mail; ALTER TABLE shop.customers ADD email text")
    #expect(owner.error("UPDATE shop.customers SET email = '' WHERE id = 1")?.detail.contains("Guard \"keep\"") == true)
    #expect(try owner.query("UPDATE shop.customers SET city = 'Bari' WHERE id = 1").affected == 1)
  }

  @Test func functionIsFollowedByItsGuard() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE FUNCTION shop.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'")
    try keep("function", "function:shop.f")
    try owner.query("ALTER FUNCTION shop.f() RENAME TO g")
    try owner.query("CREATE FUNCTION shop.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2; END'")
    let other = try shop.connect("shop_owner")
    for connection in [owner, other] {
      #expect(connection.error("SELECT shop.f()")?.detail.contains("Guard \"keep\"") == true)
      #expect(connection.error("SELECT shop.g()")?.detail.contains("Guard \"keep\"") == true)
    }
  }

  @Test func whatIsKnownByItsNameAloneKeepsItsName() throws {
    try keep("delete", "shop.later")
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE TABLE shop.later (id int)")
    for connection in [owner, try shop.connect()] {
      try shop.expectRefusal(of: "ALTER TABLE shop.later RENAME TO other", by: "keep", on: connection)
      try shop.expectRefusal(of: "ALTER TABLE shop.later SET SCHEMA lab", by: "keep", on: connection)
    }
    try shop.expectRefusal(of: "ALTER SCHEMA shop RENAME TO store", by: "keep", on: try shop.connect())
    try shop.admin.query("SELECT warden.unguard('keep')")
  }

  @Test func leaveIsNotGainedThroughAParent() throws {
    let superuser = try shop.connect()
    try superuser.query(
      """
      CREATE TABLE shop.scratch (id int, weight int);
      SELECT warden.guard('scratch', 'allow', '{delete,delete_all}', '{shop.scratch}', priority => 9)
      """)
    let owner = try shop.connect("shop_owner")
    try superuser.query("ALTER TABLE shop.scratch OWNER TO shop_owner")
    try shop.expectRefusal(of: "ALTER TABLE shop.parcels INHERIT shop.scratch", by: "whole-table-dml", on: owner)
    try shop.expectRefusal(of: "DELETE FROM shop.parcels", by: "whole-table-dml", on: owner)
    #expect(owner.error("CREATE TABLE shop.child () INHERITS (shop.scratch)") == nil)
  }

  @Test func leaveIsNotGainedByAName() throws {
    let superuser = try shop.connect()
    try superuser.query(
      """
      CREATE TABLE shop.scratch (id int);
      SELECT warden.guard('scratch', 'allow', '{delete,delete_all}', '{shop.scratch}', priority => 9)
      """
    )
    let owner = try shop.connect("shop_owner")
    try superuser.query("ALTER TABLE shop.scratch RENAME TO s; ALTER TABLE shop.parcels RENAME TO scratch")
    #expect(owner.error("DELETE FROM shop.scratch")?.detail.contains("whole-table-dml") == true)
    try superuser.query("ALTER TABLE shop.scratch RENAME TO parcels")
  }
}
