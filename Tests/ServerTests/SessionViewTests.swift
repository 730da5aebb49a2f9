import Testing

extension ServerTests {
  /// Sessions in the audit, and what they did.
  @Suite struct SessionViewTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "sessions")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private func sessionID(_ application: String) throws -> String {
      try #require(try shop.audit(where: "application_name = '\(application)'").first?["session_id"])
    }
  }
}

extension ServerTests.SessionViewTests {
  @Test func aSessionIsOneRow() throws {
    do {
      let session = try shop.connect("copilot", application: "one row")
      try session.query("SELECT 1; SELECT 2")
      try session.query("SET ROLE analyst; SET warden.ticket = 'T-7'")
      _ = session.error("DELETE FROM shop.orders")
      _ = session.error("SELECT 1 / (i - i) FROM generate_series(1, 1) i")
    }
    try waitUntil("the session has ended") {
      try shop.admin.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'one row'").value == "0"
    }
    let id = try sessionID("one row")
    let rows = try shop.admin.query("SELECT * FROM warden.sessions WHERE session_id = $1", id).records
    #expect(rows.count == 1)
    let row = try #require(rows.first)
    #expect(row["session_user_name"] == "copilot" && row["application_name"] == "one row")
    #expect(row["database_name"] == shop.database && row["client_addr"] == nil && row["identity"] == nil)
    #expect(row["statements"] == "6" && row["refused"] == "1" && row["failed"] == "1", "\(row)")
    #expect(row["started"] != nil && row["ended"] != nil && row["last_statement_at"] != nil, "\(row)")
    #expect(row["authentication"] == "trust", "\(row)")
    #expect(try shop.admin.query("SELECT warden.session_number($1)", id).value == row["session"])
  }

  @Test func nobodyIsThereTwice() throws {
    try shop.connect("clerk", application: "counted").query("SELECT 1")
    try shop.admin.query("SELECT warden.flush()")
    #expect(
      try shop.admin.query("SELECT count(*) = count(DISTINCT session_id) AND count(*) > 1 FROM warden.sessions").value
        == "t")
    #expect(try shop.connect("auditor").query("SELECT count(*) > 0 FROM warden.sessions").value == "t")
    #expect(try shop.connect("clerk").error("SELECT * FROM warden.sessions")?.sqlstate == "42501")
  }

  @Test func replayTellsWhatWasDone() throws {
    let session = try shop.connect("shop_owner", application: "replayed")
    try session.query(
      "CREATE FUNCTION shop.inner_one() RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE shop.parcels SET weight = 1 WHERE id = 1; END'"
    )
    try session.query("BEGIN; DO $$BEGIN PERFORM shop.inner_one(); END$$; ROLLBACK")
    _ = session.error("DELETE FROM shop.orders")
    try session.query("SELECT * FROM shop.parcels")
    let id = try sessionID("replayed")
    let rows = try shop.connect("auditor").query(
      "SELECT depth, split_part(statement, ' ', 1), rows, decision, outcome, at IS NOT NULL, duration_ms >= 0 FROM warden.replay($1)",
      id
    ).rows
    #expect(
      rows.map { $0.prefix(5).map { $0 ?? "-" }.joined(separator: " ") } == [
        "0 CREATE - allowed committed", "0 BEGIN; - allowed rolled_back", "0 DO - allowed rolled_back",
        "1 SELECT 1 allowed rolled_back", "2 UPDATE 1 allowed rolled_back", "0 ROLLBACK - allowed committed",
        "0 DELETE - blocked blocked", "0 SELECT 2 allowed committed",
      ] || rows.map { $0[0] } == ["0", "0", "0", "1", "2", "0", "0", "0"], "\(rows)")
    #expect(rows.last?.prefix(5) == ["0", "SELECT", "2", "allowed", "committed"], "\(rows)")
    #expect(rows.dropLast().last?[4] == "blocked")
  }

  @Test(arguments: [
    "", "x", "1.", ".1", "1.2.3", "zz.1", "-1.2", "1.ffffffff", "ffffffffffffffff.1", "1 .2", "6920a1b2",
  ])
  func whatIsNoSessionIsRefused(_ id: String) throws {
    let error = shop.admin.error("SELECT * FROM warden.replay('\(id)')")
    #expect(error?.sqlstate == "22023" && error?.message.contains("session") == true)
    #expect(error?.hint.contains("6920a1b2.4f3c") == true)
  }

  @Test func anUnknownSessionDidNothing() throws {
    #expect(try shop.admin.query("SELECT * FROM warden.replay('1.1')").rows.isEmpty)
    #expect(shop.admin.error("SELECT * FROM warden.replay(NULL)")?.sqlstate == "22023")
  }
}
