import Foundation
import Testing

extension ServerTests {
  /// Processes are killed under load. What the clients were told is compared with the audit, statement by statement.
  @Suite struct AuditKillTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload, "max_connections = 30"]), database: "kills")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    enum Victim: CaseIterable { case backend, writer, launcher, everybody, immediateShutdown, orderlyShutdown }

    private func strike(_ victim: Victim) throws {
      let cluster = shop.cluster
      switch victim {
      case .backend:
        let sessions = try shop.admin.query(
          "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'load %' LIMIT 1")
        try cluster.killBackend(try #require(Int32(sessions.value ?? "")))
      case .writer: try cluster.killBackend(shop.writer())
      case .launcher: try cluster.killBackend(try #require(try cluster.processes("pg_warden launcher").first))
      case .everybody:
        try cluster.killAll()
        try cluster.start()
      case .immediateShutdown: try cluster.restart(.immediate)
      case .orderlyShutdown: try cluster.restart(.fast)
      }
    }

    @Test(arguments: Victim.allCases) func nothingIsLostOrDoubled(_ victim: Victim) throws {
      let before = try shop.gaps()
      let load = try AuditLoad(shop, sessions: 4)
      defer { load.stop() }
      try load.waitForMore(200)
      try strike(victim)
      try shop.reconnectPatiently()
      try load.waitForMore(200)
      load.stop()
      try load.expectAccounted(in: shop)
      try shop.expectUnbrokenChain()
      // At most what each session was writing in that moment.
      #expect(try shop.gaps() - before <= 4)
    }

    /// Whenever it is killed, between its commit and the release of the ring's room as well: what it finds again is not
    /// written again.
    @Test func writerKilledAgainAndAgain() throws {
      let load = try AuditLoad(shop, sessions: 4)
      defer { load.stop() }
      for round in 1...5 {
        try load.waitForMore(50 * round)
        try strike(.writer)
        try shop.reconnectPatiently()
      }
      load.stop()
      try load.expectAccounted(in: shop)
      try shop.expectUnbrokenChain()
    }

    /// Long before it is killed the writer has taken what it did.
    @Test(arguments: [true, false]) func longTransactionIsKilled(_ committing: Bool) throws {
      let victim = try shop.connect("shop_owner", application: "long")
      try victim.query("BEGIN; INSERT INTO shop.parcels VALUES (70, 1)")
      #expect(try shop.record(of: "(70, 1)")["outcome"] == "open")
      if committing { try victim.query("COMMIT") }
      try shop.cluster.killBackend(victim.processID)
      try shop.reconnectPatiently()
      #expect(try shop.record(of: "(70, 1)")["outcome"] == (committing ? "committed" : "interrupted"))
      try shop.expectUnbrokenChain()
    }

    /// Sessions come and go, everything is killed at random, for as many seconds as WARDEN_STRESS_SECONDS says.
    @Test func stress() throws {
      let seconds = Double(ProcessInfo.processInfo.environment["WARDEN_STRESS_SECONDS"] ?? "") ?? 15
      let end = Date().addingTimeInterval(seconds)
      let load = try AuditLoad(shop, sessions: 8)
      defer { load.stop() }
      repeat {
        try load.waitForMore(Int.random(in: 1...400))
        try shop.reconnectPatiently()
        try strike(Victim.allCases.randomElement() ?? .writer)
        try shop.reconnectPatiently()
      } while Date() < end
      load.stop()
      try load.expectAccounted(in: shop)
      try shop.expectUnbrokenChain()
    }
  }
}
