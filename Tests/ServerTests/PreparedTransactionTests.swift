import Testing

extension ServerTests {
  /// Two-phase commit: the outcome is decided by another session, or after a restart.
  @Suite struct PreparedTransactionTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(
        Cluster(["shared_preload_libraries = 'pg_warden'", "max_prepared_transactions = 10"]), database: "prepared")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private func outcome(of text: String) throws -> String? { try shop.record(of: text)["outcome"] }

    /// Its locks on pg_warden's tables would outlive every session, and keep each from finding its policy.
    @Test func transactionUnderBreakGlassIsNotPrepared() throws {
      let dba = try shop.connect()
      for end in ["", "SELECT warden.break_glass_end();"] {
        try dba.query("BEGIN; SELECT warden.break_glass('a lock that stays'); LOCK warden.guard_policy; \(end)")
        #expect(dba.error("PREPARE TRANSACTION 'holder'")?.sqlstate == "0A000")
        #expect(try dba.query("SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'holder'").value == "0")
      }
      try dba.query("SELECT warden.break_glass_end()")
      try dba.query("BEGIN; SELECT 1; PREPARE TRANSACTION 'holder'")
      try dba.query("ROLLBACK PREPARED 'holder'")
    }

    @Test func outcomeComesWithTheSecondPhase() throws {
      let first = try shop.connect("shop_owner")
      try first.query("BEGIN; INSERT INTO shop.parcels VALUES (801, 1); PREPARE TRANSACTION 'commits'")
      try first.query("BEGIN; INSERT INTO shop.parcels VALUES (802, 1); PREPARE TRANSACTION 'rolls back'")
      try first.query("INSERT INTO shop.parcels VALUES (803, 1)")
      for number in [801, 802] { #expect(try outcome(of: "(\(number), 1)") == "open") }
      #expect(try outcome(of: "(803, 1)") == "committed")
      let second = try shop.connect("shop_owner")
      try second.query("COMMIT PREPARED 'commits'")
      #expect(try outcome(of: "(801, 1)") == "committed" && outcome(of: "(802, 1)") == "open")
      try second.query("ROLLBACK PREPARED 'rolls back'")
      #expect(try outcome(of: "(801, 1)") == "committed" && outcome(of: "(802, 1)") == "rolled_back")
    }

    @Test(arguments: [Cluster.StopMode.fast, .immediate]) func outcomeSurvivesARestart(_ mode: Cluster.StopMode) throws
    {
      try shop.connect("shop_owner").query(
        "BEGIN; INSERT INTO shop.parcels VALUES (811, 1); PREPARE TRANSACTION 'commits'")
      try shop.connect("shop_owner").query(
        "BEGIN; INSERT INTO shop.parcels VALUES (812, 1); PREPARE TRANSACTION 'rolls back'")
      try shop.cluster.restart(mode)
      try shop.reconnect()
      for number in [811, 812] { #expect(try outcome(of: "(\(number), 1)") == "open") }
      let later = try shop.connect("shop_owner")
      try later.query("ROLLBACK PREPARED 'rolls back'")
      try later.query("COMMIT PREPARED 'commits'")
      #expect(try outcome(of: "(811, 1)") == "committed" && outcome(of: "(812, 1)") == "rolled_back")
      try shop.expectUnbrokenChain()
    }

    @Test func transactionThatCannotBePreparedIsRolledBack() throws {
      let owner = try shop.connect("shop_owner")
      try owner.query("BEGIN; CREATE TEMP TABLE short (a int); INSERT INTO short VALUES (821)")
      #expect(owner.error("PREPARE TRANSACTION 'never'") != nil)
      #expect(try outcome(of: "VALUES (821)") == "rolled_back")
      #expect(try shop.record(of: "'never'")["outcome"] == "failed")
    }

    /// Ended while nobody watched: the commit log knows.
    @Test func outcomeIsFoundThoughTheLibraryWasNotLoaded() throws {
      try shop.connect("shop_owner").query(
        "BEGIN; INSERT INTO shop.parcels VALUES (831, 1); PREPARE TRANSACTION 'commits unseen'")
      try shop.admin.query("SELECT warden.flush()")
      try shop.cluster.configure(["shared_preload_libraries = ''"])
      try shop.cluster.restart()
      try shop.connect("shop_owner").query("COMMIT PREPARED 'commits unseen'")
      try shop.cluster.configure(["shared_preload_libraries = 'pg_warden'"])
      try shop.cluster.restart()
      try shop.reconnect()
      try waitUntil("the writer has looked") { try outcome(of: "(831, 1)") == "committed" }
    }
  }
}
