import Foundation
import Testing

extension ServerTests {
  /// warden.mode: monitor lets run and says what would have been; off lets run and records.
  @Suite struct ModeTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload, "warden.mode = monitor"]), database: "modes")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try setMode("monitor")
      try shop.refill()
    }

    private func setMode(_ mode: String) throws {
      guard try shop.admin.query("SHOW warden.mode").value != mode else { return }
      try shop.cluster.configure(["warden.mode = \(mode)"])
      try shop.cluster.reload()
      try waitUntil("the mode is \(mode)") { try shop.admin.query("SHOW warden.mode").value == mode }
    }
  }
}

struct ModeScenario: CustomTestStringConvertible, Sendable {
  let statements: String
  let object: String
  let sql: String

  init(_ statements: String, _ object: String, _ sql: String) {
    self.statements = statements
    self.object = object
    self.sql = sql
  }

  var testDescription: String { "\(statements): \(sql)" }
}

extension ServerTests.ModeTests {
  static let byClass = [
    ModeScenario("read", "shop.orders", "SELECT * FROM shop.orders"),
    ModeScenario("insert", "shop.parcels", "INSERT INTO shop.parcels VALUES (3, 3)"),
    ModeScenario("update", "shop.orders", "UPDATE shop.orders SET total = 1 WHERE id = 1"),
    ModeScenario("delete", "shop.orders", "DELETE FROM shop.orders WHERE id = 1"),
    ModeScenario(
      "merge", "shop.parcels",
      "MERGE INTO shop.parcels p USING (VALUES (1)) v (i) ON p.id = v.i WHEN MATCHED THEN UPDATE SET weight = 1"),
    ModeScenario("update_all", "shop.orders", "UPDATE shop.orders SET total = 1"),
    ModeScenario("delete_all", "shop.parcels", "DELETE FROM shop.parcels"),
    ModeScenario("truncate", "shop.parcels", "TRUNCATE shop.parcels"),
    ModeScenario("drop", "shop.parcels", "DROP TABLE shop.parcels"),
    ModeScenario("drop", "shop.b", "DROP VIEW shop.a CASCADE"),
    ModeScenario("drop_column", "shop.orders", "ALTER TABLE shop.orders DROP COLUMN note CASCADE"),
    ModeScenario("alter", "shop.orders", "ALTER TABLE shop.orders ADD x int"),
    ModeScenario("create", "*", "CREATE TABLE shop.other (i int)"),
    ModeScenario("ddl", "*", "COMMENT ON TABLE shop.orders IS 'x'"),
    ModeScenario("grant", "shop.orders", "GRANT SELECT ON shop.orders TO clerk"),
    ModeScenario("role", "*", "ALTER ROLE clerk SET work_mem = '5MB'"),
    ModeScenario("copy_in", "shop.parcels", "COPY shop.parcels FROM STDIN"),
    ModeScenario("copy_out", "shop.orders", "COPY shop.orders TO STDOUT"),
    ModeScenario("copy_program", "*", "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'"),
    ModeScenario("server_file", "*", "SELECT length(pg_read_file('PG_VERSION'))"),
    ModeScenario("set", "*", "SET work_mem = '6MB'"),
    ModeScenario("function", "function:shop.f", "SELECT shop.f()"),
    ModeScenario("all", "*", "VACUUM shop.orders"),
    ModeScenario("CREATE INDEX", "*", "CREATE INDEX ON shop.orders (note)"),
  ]

  private static let setup = """
    CREATE VIEW shop.a AS SELECT id FROM shop.orders; CREATE VIEW shop.b AS SELECT id FROM shop.a;
    CREATE FUNCTION shop.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'
    """

  @Test(arguments: byClass, [("block", "would_block"), ("require_approval", "would_require_approval")])
  func monitorSaysWhatWouldBe(_ scenario: ModeScenario, _ action: (String, String)) throws {
    try shop.admin.query(Self.setup)
    let user = try shop.connect(application: "user")
    try shop.admin.query(
      "SELECT warden.guard('g', '\(action.0)', '{\(scenario.statements)}', '{\(scenario.object)}', priority => 9)")
    if scenario.sql.hasSuffix("STDIN") { try user.copyIn(scenario.sql, "7\t7\n") } else { try user.query(scenario.sql) }
    let records = try shop.audit(where: "event = 'statement' AND guard = 'g'")
    #expect(records.contains { $0["decision"] == action.1 && $0["outcome"] == "committed" }, "\(records)")
    #expect(records.allSatisfy { $0["error"] == nil && $0["sqlstate"] == nil })
    try shop.admin.query("SELECT warden.unguard('g')")
  }

  @Test(arguments: byClass) func offRecordsAndDecidesNothing(_ scenario: ModeScenario) throws {
    try shop.admin.query(Self.setup)
    try shop.admin.query(
      "SELECT warden.guard('g', 'block', '{\(scenario.statements)}', '{\(scenario.object)}', priority => 9)")
    try setMode("off")
    let user = try shop.connect(application: "user")
    if scenario.sql.hasSuffix("STDIN") { try user.copyIn(scenario.sql, "7\t7\n") } else { try user.query(scenario.sql) }
    let records = try shop.audit(where: "event = 'statement' AND application_name = 'user'")
    #expect(!records.isEmpty && records.allSatisfy { $0["decision"] == "allowed" && $0["guard"] == nil }, "\(records)")
    try shop.admin.query("SELECT warden.unguard('g')")
  }

  /// A guard says who may do what; a mask says what is seen. No mode but the owner's lifts it.
  @Test func masksHoldInEveryMode() throws {
    try shop.mask()
    for mode in ["monitor", "off"] {
      try setMode(mode)
      let analyst = try shop.connect("analyst")
      #expect(try !analyst.query("SELECT * FROM shop.customers").text.contains(Shop.mark))
      let error = analyst.error("UPDATE shop.customers SET city = 'X' WHERE email LIKE 'a%'")
      #expect(error?.sqlstate == "42501" && error?.message.contains("masked column") == true)
    }
  }

  /// Self-protection is no guard: it holds while guards rest.
  @Test(arguments: ["monitor", "off"]) func selfProtectionHolds(_ mode: String) throws {
    try setMode(mode)
    try shop.expectRefusal(
      of: "DELETE FROM warden.guard_policy", by: "self-protection", on: try shop.connect())
  }
}
