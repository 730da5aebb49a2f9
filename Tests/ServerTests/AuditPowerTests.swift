import Foundation
import Testing

extension ServerTests {
  /// What a loss of power can do to the spool: pages of the file that are of different ages. A test cannot cut the power;
  /// it kills everything and puts back older pages.
  @Suite struct AuditPowerTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload, "max_connections = 20"]), database: "power")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private static let statements = 60
    private static let page = Cluster.spoolPage

    private func run(_ name: String) throws {
      let session = try shop.connect("shop_owner", application: name)
      for number in 0..<Self.statements { try session.query("SELECT '\(name) \(number) mark'") }
    }

    /// The spool before and after statements that the writer has not seen, with everything killed at the end.
    private func spoolsAroundUnwritten(_ name: String) throws -> (before: Data, after: Data) {
      // A statement now, so that the writer is there; it gets no further than this.
      _ = try shop.audit()
      kill(try shop.writer(), SIGSTOP)
      let before = try shop.cluster.readSpool()
      try run(name)
      try shop.cluster.killAll()
      return (before, try shop.cluster.readSpool())
    }

    private func found(_ name: String) throws -> [String] {
      try shop.audit(where: "event = 'statement' AND application_name = '\(name)'").compactMap { $0["statement"] }
    }

    private func expectGoingOn(sourceLocation: SourceLocation = #_sourceLocation) throws {
      try run("afterwards")
      #expect(try found("afterwards").count == Self.statements, sourceLocation: sourceLocation)
      try shop.expectUnbrokenChain(sourceLocation: sourceLocation)
      let log = shop.cluster.log()
      #expect(!log.contains("PANIC") && !log.contains("was terminated by signal 11"), sourceLocation: sourceLocation)
    }

    @Test func allPagesAreThere() throws {
      let gaps = try shop.gaps()
      _ = try spoolsAroundUnwritten("whole")
      try shop.cluster.start()
      try shop.reconnectPatiently()
      #expect(try found("whole") == (0..<Self.statements).map { "SELECT 'whole \($0) mark'" })
      try expectGoingOn()
      #expect(try shop.gaps() == gaps)
    }

    /// The numbers given since are in the rings: none is given again.
    @Test func counterIsOlderThanTheRings() throws {
      let gaps = try shop.gaps()
      let spools = try spoolsAroundUnwritten("counter")
      try shop.cluster.writeSpool(spools.before.prefix(Self.page), at: 0)
      try shop.cluster.start()
      try shop.reconnectPatiently()
      #expect(try found("counter").count == Self.statements)
      try expectGoingOn()
      #expect(try shop.gaps() == gaps)
    }

    /// The records are there, and nothing knows of them any more: their numbers are reported as gaps.
    @Test func headersAreOlderThanTheirRecords() throws {
      let gaps = try shop.gaps()
      let spools = try spoolsAroundUnwritten("headers")
      let headers = Self.page..<Self.page * (1 + (try shop.cluster.spoolRings()))
      try shop.cluster.writeSpool(spools.before.subdata(in: headers), at: Self.page)
      try shop.cluster.start()
      try shop.reconnectPatiently()
      #expect(try found("headers").isEmpty)
      try expectGoingOn()
      #expect(try shop.gaps() - gaps >= Self.statements)
    }

    @Test func pageOfRecordsDidNotArrive() throws {
      let gaps = try shop.gaps()
      let spools = try spoolsAroundUnwritten("lost")
      let middle = try #require(spools.after.range(of: Data("'lost 30 mark'".utf8))).lowerBound
      try shop.cluster.writeSpool(Data(count: Self.page), at: middle / Self.page * Self.page)
      try shop.cluster.start()
      try shop.reconnectPatiently()
      let statements = try found("lost")
      #expect(!statements.contains("SELECT 'lost 30 mark'"))
      // What was before the page and what was behind it.
      #expect(statements.contains("SELECT 'lost 0 mark'") && statements.contains("SELECT 'lost 59 mark'"))
      try expectGoingOn()
      #expect(try shop.gaps() - gaps == Self.statements - statements.count)
    }

    /// The writer had committed, and the file knows nothing of it: as in a crash between its commit and the release of
    /// the room in the rings.
    @Test func tableIsNewerThanTheSpool() throws {
      let gaps = try shop.gaps()
      _ = try shop.audit()
      let writer = try shop.writer()
      kill(writer, SIGSTOP)
      try run("table")
      let before = try shop.cluster.readSpool()
      kill(writer, SIGCONT)
      try run("more")
      #expect(try found("table").count == Self.statements)
      try shop.cluster.killAll()
      try shop.cluster.writeSpool(before, at: 0)
      try shop.cluster.start()
      try shop.reconnectPatiently()
      #expect(try found("table").count == Self.statements && found("more").count == Self.statements)
      try expectGoingOn()
      #expect(try shop.gaps() == gaps)
    }

    /// A spool that cannot be read is no reason not to start.
    @Test func spoolMakesNoSense() throws {
      _ = try shop.audit()
      try shop.cluster.killAll()
      try shop.cluster.writeSpool(Data(repeating: 0x5A, count: Self.page), at: 0)
      try shop.cluster.start()
      try shop.reconnectPatiently()
      #expect(shop.cluster.log().contains("set the spool of audit records aside"))
      let folder = (shop.cluster.spoolPath as NSString).deletingLastPathComponent
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).contains { $0.hasPrefix("spool.aside.") })
      try expectGoingOn()
    }

    @Test(arguments: 1...6) func garbageInTheSpoolIsSurvived(_ seed: UInt64) throws {
      let spools = try spoolsAroundUnwritten("garbage \(seed)")
      var random = SystemRandomNumberGenerator()
      let rings = try shop.cluster.spoolRings()
      for _ in 0..<200 {
        // Headers and the beginnings of rings, where something is; never the first page, which is another test's.
        let offset = Int.random(
          in: Self.page..<min(spools.after.count - 8, Self.page * (1 + rings) * 3), using: &random)
        let noise = Data((0..<8).map { _ in UInt8.random(in: 0...255, using: &random) })
        try shop.cluster.writeSpool(noise, at: offset)
      }
      try shop.cluster.start()
      try shop.reconnectPatiently()
      try expectGoingOn()
    }
  }
}

// MARK: - audit_durability = power

extension ServerTests {
  @Suite struct AuditDurabilityTests {
    private func flushes(_ shop: Shop) throws -> Int? {
      let value = try shop.admin.query("SELECT value FROM warden.status() WHERE name = 'durability'").value ?? ""
      guard value.hasPrefix("power: ") else { return nil }
      return Int(value.dropFirst("power: ".count).prefix { $0.isNumber })
    }

    @Test func powerFlushesAndCrashDoesNot() throws {
      let shop = try Shop(Cluster([Clusters.preload, "log_min_messages = log"]), database: "durable")
      try shop.refill()
      let session = try shop.connect("shop_owner")
      try session.query("SELECT 1")
      #expect(try shop.admin.query("SELECT value FROM warden.status() WHERE name = 'durability'").value == "crash")

      try shop.cluster.configure(["warden.audit_durability = power"])
      try shop.admin.query("SELECT pg_reload_conf()")
      try waitUntil("the setting is in force") {
        try session.query("SHOW warden.audit_durability").value == "power" && flushes(shop) != nil
      }
      func cost(_ sql: String) throws -> Int {
        // Asking for the number is a statement too.
        let before = try #require(try flushes(shop))
        let idle = try #require(try flushes(shop)) - before
        _ = session.error(sql)
        return try #require(try flushes(shop)) - before - 2 * idle
      }
      #expect(try cost("SELECT 2") == 1, "before it runs")
      #expect(try cost("INSERT INTO shop.parcels VALUES (90, 1)") == 2, "before it runs, and before its commit")
      #expect(try cost("DELETE FROM shop.orders") == 1, "before it is refused")
      #expect(try cost("BEGIN") == 0)
      #expect(try cost("INSERT INTO shop.parcels VALUES (91, 1)") == 1)
      #expect(try cost("COMMIT") == 1)
      try session.query("BEGIN; INSERT INTO shop.parcels VALUES (92, 1)")
      #expect(try cost("ROLLBACK") == 0)
      #expect(
        try cost("DO $$BEGIN FOR i IN 1..10 LOOP INSERT INTO shop.parcels VALUES (100 + i, 1); END LOOP; END$$") == 2)

      // fsync is off in these tests, and said to be.
      #expect(try shop.admin.query("SELECT healthy FROM warden.status() WHERE name = 'durability'").value == "f")
      try shop.expectUnbrokenChain()
    }
  }
}
