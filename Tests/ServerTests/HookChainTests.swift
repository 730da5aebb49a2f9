import Testing

extension ServerTests {
  /// Other extensions hang on the same hooks; each has to get its turn, whoever is loaded first.
  @Suite struct HookChainTests {
    private static let others =
      ["pg_stat_statements", "auto_explain"] + (PgConfig.hasLibrary("pgaudit") ? ["pgaudit"] : [])
    static let orders = [others + ["pg_warden"], ["pg_warden"] + others.reversed()]

    private static let settings = [
      "pg_stat_statements.track = 'all'", "auto_explain.log_min_duration = 0",
      "auto_explain.log_nested_statements = on",
      "pgaudit.log = 'all'",
    ]

    private func makeShop(_ order: [String]) throws -> Shop {
      let cluster = try Cluster(["shared_preload_libraries = '\(order.joined(separator: ","))'"] + Self.settings)
      // Inherited by the shop's database, where pg_warden would refuse it.
      try cluster.connect(database: "template1").query("CREATE EXTENSION pg_stat_statements")
      let shop = try Shop(cluster, database: "chained")
      try shop.refill()
      return shop
    }

    @Test(arguments: orders) func everyHookHasItsTurn(_ order: [String]) throws {
      let shop = try makeShop(order)
      try shop.mask()
      let analyst = try shop.connect("analyst")
      let read = "SELECT email FROM shop.customers WHERE id = 1"
      #expect(try analyst.query(read).value == Shop.maskedEmail)
      #expect(try analyst.query("COPY shop.customers (email) TO STDOUT").copied.contains(Shop.maskedEmail))
      let owner = try shop.connect("shop_owner")
      try shop.expectRefusal(of: "DELETE FROM shop.orders", by: "whole-table-dml", on: owner)
      try shop.expectRefusal(of: "DROP TABLE shop.parcels", by: "destructive-ddl", sqlstate: "WD001", on: owner)
      try owner.query(
        "BEGIN; DECLARE c CURSOR FOR SELECT * FROM shop.orders; FETCH 1 FROM c; SELECT 1; CLOSE c; COMMIT")
      try owner.query("DO $$BEGIN UPDATE shop.orders SET total = 1 WHERE id = 1; END$$")
      #expect(try shop.record(of: read)["decision"] == "masked")
      #expect(try shop.audit(where: "command = 'UPDATE'").map { $0["parent_no"] != nil } == [true])

      let counted = try shop.admin.query(
        "SELECT calls FROM pg_stat_statements WHERE query LIKE 'SELECT email FROM shop.customers%'")
      #expect(counted.value == "1")
      let log = shop.cluster.log()
      #expect(log.contains("plan:\n\tQuery Text: \(read)"))
      if order.contains("pgaudit") { #expect(log.contains("AUDIT: SESSION") && log.contains("shop.customers")) }
      try shop.expectUnbrokenChain()
    }

    @Test(arguments: orders) func databaseWithoutTheExtensionIsUntouched(_ order: [String]) throws {
      let cluster = try Cluster(["shared_preload_libraries = '\(order.joined(separator: ","))'"] + Self.settings)
      let session = try cluster.connect()
      try session.query("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
      #expect(try session.query("UPDATE t SET a = 3").affected == 2)
      #expect(try session.query("DELETE FROM t").affected == 2)
      try session.query("TRUNCATE t")
      try session.query("ALTER TABLE t DROP COLUMN a")
      try session.query("DROP TABLE t")
      #expect(try session.query("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'").affected == 1)
      try session.query("ALTER SYSTEM SET work_mem = '5MB'")
      try session.query("CREATE DATABASE other")
      try session.query("DROP DATABASE other")
    }
  }
}
