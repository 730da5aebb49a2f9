import Foundation
import Testing

extension ServerTests {
  /// The action alert: the statement runs, the audit has an event, and whoever listens is told.
  @Suite struct AlertTests {
    private nonisolated(unsafe) static let suiteShop = Result { try Shop(Clusters.governed(), database: "alerts") }
    let shop: Shop
    let listener: Connection

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      listener = try shop.connect(application: "listener")
      try listener.query("LISTEN warden_events")
    }

    private func makeGuard(_ arguments: String) throws { try shop.admin.query("SELECT warden.guard(\(arguments))") }

    private func alerts(_ name: String) throws -> [[String: String]] {
      try shop.audit(where: "event = 'alert' AND guard = '\(name)'")
    }

    /// What the listener was told, as soon as there is something.
    private func told() throws -> [[String: Any]] {
      var payloads: [String] = []
      try waitUntil("the listener is told") {
        payloads += try listener.notifications()
        return !payloads.isEmpty
      }
      return try payloads.map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
    }
  }
}

extension ServerTests.AlertTests {
  @Test func alertOutlivesTheTransaction() throws {
    try makeGuard("'watch', 'alert', '{delete}', '{shop.orders}'")
    let owner = try shop.connect("shop_owner", application: "deleter")
    try owner.query("BEGIN; SAVEPOINT s")
    #expect(try owner.query("DELETE FROM shop.orders WHERE id = 1").affected == 1)
    try owner.query("ROLLBACK")
    let alert = try #require(try alerts("watch").first)
    #expect(try alerts("watch").count == 1)
    #expect(alert["class"] == "delete" && alert["command"] == "DELETE" && alert["role_name"] == "shop_owner")
    #expect(alert["statement"] == "DELETE on shop.orders raises an alert" && alert["outcome"] == "committed")
    let statement = try #require(try shop.audit(where: "event = 'statement' AND guard = 'watch'").first)
    #expect(statement["outcome"] == "rolled_back" && statement["decision"] == "allowed")
    #expect(statement["statement_no"] == alert["statement_no"] && statement["session_id"] == alert["session_id"])
    #expect(try Set(shop.access(where: "event = 'alert'").map { $0["relation"] }) == ["shop.orders"])
    let told = try told()
    #expect(told.count == 1)
    let one = try #require(told.first)
    #expect(one["event"] as? String == "alert" && one["kind"] as? String == "alert")
    #expect(one["guard"] as? String == "watch" && one["object"] as? String == "shop.orders")
    #expect(one["class"] as? String == "delete" && one["command"] as? String == "DELETE")
    #expect(one["role"] as? String == "shop_owner" && one["database"] as? String == shop.database)
    #expect((one["seq"] as? Int).map { "\($0)" } == alert["seq"])
    #expect(one["session_id"] as? String == alert["session_id"])
    #expect((one["statement_no"] as? Int).map { "\($0)" } == alert["statement_no"])
    try shop.expectUnbrokenChain()
  }

  static let roads = [
    ("read", "shop.orders", "SELECT count(*) FROM shop.orders"),
    ("insert", "shop.parcels", "INSERT INTO shop.parcels VALUES (9, 9)"),
    ("update", "shop.orders", "WITH u AS (UPDATE shop.orders SET total = 1 WHERE id = 1 RETURNING 1) SELECT * FROM u"),
    ("copy_out", "shop.orders", "COPY shop.orders TO STDOUT"),
    ("alter", "shop.orders", "ALTER TABLE shop.orders ADD x int"),
    ("create", "*", "CREATE TABLE shop.other (i int)"),
    ("function", "function:shop.f", "SELECT shop.f()"),
    ("drop", "shop.v", "DROP VIEW shop.w CASCADE"),
    ("set", "*", "SET work_mem = '5MB'"),
    ("delete", "shop.orders", "DO $$BEGIN DELETE FROM shop.orders WHERE id = 1; END$$"),
    ("update_all", "shop.parcels", "UPDATE shop.parcels SET weight = 1"),
  ]

  @Test(arguments: roads) func everyRoadRaisesOne(_ statements: String, _ object: String, _ sql: String) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE FUNCTION shop.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
      CREATE VIEW shop.w AS SELECT id FROM shop.orders; CREATE VIEW shop.v AS SELECT id FROM shop.w
      """)
    try makeGuard("'watch', 'alert', '{\(statements)}', '{\(object)}', '{role:shop_owner}', priority => 1")
    try makeGuard("'leave', 'allow', '{drop}', priority => 1")
    try owner.query(sql)
    let alerts = try alerts("watch")
    #expect(alerts.count == 1, "\(alerts)")
    #expect(alerts.first?["error"] == nil)
  }

  /// However many times a statement reaches it.
  @Test func functionInALoopRaisesOne() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE FUNCTION shop.f(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN i; END';
      CREATE FUNCTION shop.g() RETURNS int LANGUAGE plpgsql AS
      'DECLARE s int = 0; BEGIN FOR i IN 1..50 LOOP EXECUTE ''SELECT shop.f($1)'' INTO s USING i; END LOOP; RETURN s; END'
      """)
    try makeGuard("'watch', 'alert', '{function}', '{function:shop.f}'")
    try owner.query("SELECT shop.g()")
    #expect(try alerts("watch").count == 1)
  }

  @Test func refusalIsNoAlert() throws {
    try makeGuard("'watch', 'alert', '{delete}', '{shop.orders}'")
    try makeGuard("'no', 'block', '{delete}', '{shop.orders}'")
    try shop.expectRefusal(
      of: "DELETE FROM shop.orders WHERE id = 1", by: "no", on: try shop.connect("shop_owner"))
    #expect(try alerts("watch").isEmpty)
  }

  /// All are recorded; of those that are not told one by one the number is.
  @Test func floodIsToldInSum() throws {
    try makeGuard("'watch', 'alert', '{update}', '{shop.parcels}'")
    let owner = try shop.connect("shop_owner")
    try owner.query("DO $$BEGIN FOR i IN 1..400 LOOP UPDATE shop.parcels SET weight = i WHERE id = 1; END LOOP; END$$")
    #expect(try alerts("watch").count == 400)
    var singly = 0
    var inSum = 0
    try waitUntil("all are told") {
      for payload in try listener.notifications() {
        let json = try JSONSerialization.jsonObject(with: Data(payload.utf8)) as? [String: Any]
        if json?["alert"] as? String == "guards" { inSum += json?["count"] as? Int ?? 0 } else { singly += 1 }
      }
      return singly + inSum >= 400
    }
    #expect(singly + inSum == 400)
  }

  /// Names that need escapes in JSON.
  @Test func hostileNames() throws {
    let name = #"say "hi" \ {}'"#
    try shop.admin.query("CREATE TABLE shop.\"q\"\"\u{1}\\ü\" (i int)")
    try shop.admin.query("SELECT warden.guard($1, 'alert', '{insert}')", name)
    try shop.admin.query("INSERT INTO shop.\"q\"\"\u{1}\\ü\" VALUES (1)")
    let one = try #require(try told().first)
    #expect(one["guard"] as? String == name)
    #expect(one["object"] as? String == "shop.\"q\"\"\u{1}\\ü\"")
  }
}
