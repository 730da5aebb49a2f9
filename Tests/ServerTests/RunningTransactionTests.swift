import Testing

extension ServerTests {
  /// Statements that end transactions and go on, and rows that the server does not count for the client's statement.
  @Suite struct RunningTransactionTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "running")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query("CREATE TABLE lab.n (id int); GRANT ALL ON SCHEMA lab TO shop_owner")
      try shop.admin.query("ALTER TABLE lab.n OWNER TO shop_owner; SELECT warden.flush()")
    }
  }
}

extension ServerTests.RunningTransactionTests {
  /// Command, outcome and SQLSTATE of each statement.
  private func outcomes() throws -> [String] {
    try shop.audit().map { "\($0["command"] ?? "") \($0["outcome"] ?? "") \($0["sqlstate"] ?? "")" }
  }

  /// Between the transactions the writer takes the records, or it does not.
  static let pauses = ["", "PERFORM pg_sleep(0.6);"]

  @Test(arguments: pauses) func whatFailsAfterItsCommitHasFailed(_ pause: String) throws {
    let connection = try shop.connect("shop_owner")
    let start = "BEGIN INSERT INTO lab.n VALUES (1); COMMIT; \(pause)"
    let block = start + " INSERT INTO lab.n VALUES (2); RAISE division_by_zero; END"
    #expect(connection.error("DO $$\(block)$$")?.sqlstate == "22012")
    let found = try outcomes().filter { !$0.hasPrefix("SELECT") }
    #expect(found == ["DO failed 22012", "INSERT committed ", "INSERT rolled_back "])
  }

  @Test(arguments: pauses) func whatGoesOnAfterItsRollbackIsCommitted(_ pause: String) throws {
    let connection = try shop.connect("shop_owner")
    let block = "BEGIN INSERT INTO lab.n VALUES (1); ROLLBACK; \(pause) INSERT INTO lab.n VALUES (2); END"
    try connection.query("DO $$\(block)$$")
    let found = try outcomes().filter { !$0.hasPrefix("SELECT") }
    #expect(found == ["DO committed ", "INSERT rolled_back ", "INSERT committed "])
  }

  @Test func aConcurrentIndexThatFailsHasFailed() throws {
    let connection = try shop.connect("shop_owner")
    try connection.query("INSERT INTO lab.n VALUES (1), (1)")
    #expect(connection.error("CREATE UNIQUE INDEX CONCURRENTLY n_id ON lab.n (id)")?.sqlstate == "23505")
    #expect(try outcomes() == ["INSERT committed ", "CREATE INDEX failed 23505"])
  }

  @Test func rollbackToIsNoPartOfWhatItTakesBack() throws {
    let connection = try shop.connect("shop_owner")
    let round = "SAVEPOINT s; INSERT INTO lab.n VALUES (1); ROLLBACK TO s;"
    try connection.query("BEGIN; " + String(repeating: round, count: 3000) + "COMMIT")
    let found = Dictionary(try outcomes().map { ($0, 1) }, uniquingKeysWith: +)
    #expect(
      found == [
        "BEGIN committed ": 1, "SAVEPOINT committed ": 3000, "INSERT rolled_back ": 3000, "ROLLBACK committed ": 3000,
        "COMMIT committed ": 1,
      ])
  }

  @Test func rowsOfARuleAreCounted() throws {
    try shop.admin.query("CREATE VIEW lab.v AS SELECT * FROM lab.n; GRANT DELETE, SELECT ON lab.v TO shop_owner")
    try shop.admin.query("CREATE RULE r AS ON DELETE TO lab.v DO INSTEAD UPDATE lab.n SET id = -1 WHERE id = OLD.id")
    let connection = try shop.connect("shop_owner")
    try connection.query("INSERT INTO lab.n VALUES (1), (1), (2)")
    try connection.query("DELETE FROM lab.v WHERE id = 1")
    #expect(try shop.audit(where: "command = 'UPDATE'").map { $0["rows"] } == ["2"])
  }
}
