import Foundation
import Testing

extension ServerTests {
  /// What a record says of a statement's result: rows, bytes, outcome.
  @Suite struct ResultAuditTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "results")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }
  }
}

extension ServerTests.ResultAuditTests {
  // A row on the wire: 5 bytes of header, 2 of column count, 4 of length and the bytes of each column.
  static let results = [
    ("SELECT 'abc' FROM generate_series(1, 10)", 10, 140),
    ("INSERT INTO shop.parcels VALUES (80, 1)", 1, 0),
    ("UPDATE shop.parcels SET weight = 12 WHERE id = 1 RETURNING weight", 1, 13),
    ("COPY (SELECT 'abc' FROM generate_series(1, 10)) TO STDOUT", 10, 90),
    ("WITH d AS (DELETE FROM shop.parcels WHERE id = 2 RETURNING id) SELECT count(*) FROM d", 1, 12),
  ]

  @Test(arguments: results) func rowsAndBytesAreThoseSent(_ sql: String, _ rows: Int, _ bytes: Int) throws {
    try shop.connect("shop_owner").query(sql)
    let record = try #require(try shop.audit(where: "event = 'statement' AND parent_no IS NULL").first)
    #expect(record["rows"] == "\(rows)" && record["bytes"] == "\(bytes)", "\(record)")
  }

  @Test func resultsThatTheServerKeepsFirstAreCounted() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("SHOW warden.mode")
    try owner.query("BEGIN; DECLARE c CURSOR FOR SELECT 'abc' FROM generate_series(1, 9); FETCH 4 FROM c; COMMIT")
    #expect(try shop.record(of: "SHOW")["bytes"] == "\(5 + 2 + 4 + 7)")
    #expect(try shop.audit(where: "command = 'FETCH'").first?["bytes"] == "\(4 * 14)")
    // The inner query hands its rows to the FETCH.
    let inner = try #require(try shop.audit(where: "command = 'SELECT'").first)
    #expect(inner["bytes"] == nil && inner["rows"] == "4")
  }

  @Test func preparedStatementsAreCountedToo() throws {
    let owner = try shop.connect("shop_owner")
    try owner.prepare("p", "SELECT repeat('x', $1::int)")
    for length in [1, 100] { try owner.execute("p", "\(length)") }
    #expect(try shop.audit().compactMap { $0["bytes"] } == ["12", "111"])
  }

  @Test func noticesLeaveToo() throws {
    try shop.connect("shop_owner").query("DO $$BEGIN RAISE NOTICE '%', repeat('x', 1000); END$$")
    let bytes = Int(try shop.record(of: "RAISE NOTICE")["bytes"] ?? "") ?? 0
    #expect(bytes > 1000)
  }

  static let holdable = [("SCROLL", "4"), ("NO SCROLL", "4")]

  @Test(arguments: holdable) func rowsOfAHoldableCursorAreCountedOnce(_ scroll: String, _ rows: String) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      "BEGIN; DECLARE c \(scroll) CURSOR WITH HOLD FOR SELECT * FROM shop.orders; FETCH 2 FROM c; COMMIT; FETCH 1 FROM c"
    )
    #expect(try shop.audit(where: "command = 'SELECT'").compactMap { $0["rows"] } == [rows])
  }

  @Test func rowsThatACursorOnlyPassesAreNotCounted() throws {
    try shop.connect("shop_owner").query(
      "BEGIN; DECLARE c CURSOR FOR SELECT * FROM shop.orders; FETCH 1 FROM c; MOVE 2 FROM c; FETCH 1 FROM c; COMMIT")
    #expect(try shop.audit(where: "command = 'SELECT'").compactMap { $0["rows"] } == ["2"])
  }

  @Test func returningToASavepointTookEffect() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      "BEGIN; SAVEPOINT s; INSERT INTO shop.parcels VALUES (81, 1); ROLLBACK TO s; SELECT 1 AS after; COMMIT")
    #expect(try shop.record(of: "ROLLBACK TO")["outcome"] == "committed")
    #expect(try shop.record(of: "(81, 1)")["outcome"] == "rolled_back")
    try owner.query("BEGIN; SAVEPOINT s")
    #expect(owner.error("SELEC 1") != nil)
    try owner.query("ROLLBACK TO SAVEPOINT s; COMMIT")
    #expect(try shop.record(of: "ROLLBACK TO SAVEPOINT")["outcome"] == "committed")
    try owner.query("BEGIN; SAVEPOINT t; ROLLBACK TO t; ROLLBACK")
    #expect(try shop.record(of: "ROLLBACK TO t")["outcome"] == "rolled_back")
  }

}
