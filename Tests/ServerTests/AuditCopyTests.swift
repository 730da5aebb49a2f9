import Foundation
import Testing

extension ServerTests {
  /// A data directory that is copied has a copy of the spool in it, whose records are the original's to write.
  @Suite struct AuditCopyTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload, "max_connections = 20", "wal_level = replica"]), database: "copied")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private func expectSound(_ copy: Cluster, sourceLocation: SourceLocation = #_sourceLocation) throws {
      let admin = try copy.connect(database: shop.database, application: "copy")
      try admin.query("SELECT warden.flush()")
      let numbers = try admin.query(
        "SELECT count(*) = max(seq) - min(seq) + 1 AND count(*) = count(DISTINCT seq) AND min(seq) = 1 FROM warden.audit_log"
      )
      #expect(numbers.value == "t", "seq has holes or doubles", sourceLocation: sourceLocation)
      let verdict = try admin.query("SELECT ok, first_bad_seq, problem FROM warden.verify_audit()")
      #expect(verdict.rows.first?.first == "t", "\(verdict.text)", sourceLocation: sourceLocation)
    }

    @Test func restoredBackupGoesOnByItself() throws {
      let load = try AuditLoad(shop, sessions: 3)
      defer { load.stop() }
      try load.waitForMore(200)
      // Held up in the rings, so that the copy is certain to have some of it.
      let writer = try shop.writer()
      kill(writer, SIGSTOP)
      defer { kill(writer, SIGCONT) }
      try load.waitForMore(50)
      let copy = try Cluster(backupOf: shop.cluster)
      kill(writer, SIGCONT)
      try load.waitForMore(100)
      load.stop()

      try load.expectAccounted(in: shop)
      try shop.expectUnbrokenChain()
      #expect(copy.log().contains("set the spool of audit records aside"), "\(copy.log())")
      #expect(copy.log().contains("restored from a backup"))
      try copy.connect(role: "shop_owner", database: shop.database, application: "copy").query("SELECT 'only here'")
      try expectSound(copy)
      let here = "SELECT count(*) FROM warden.audit_log WHERE statement = 'SELECT ''only here'''"
      #expect(try copy.connect(database: shop.database).query(here).value == "1")
      #expect(try shop.connect().query(here).value == "0")

      // It is a cluster like any other from now on: what is in its rings is its own.
      try copy.killAll()
      try copy.start()
      try waitUntil("it takes connections") { (try? copy.connect()) != nil }
      try expectSound(copy)
      #expect(copy.log().components(separatedBy: "set the spool").count == 2)
    }

    @Test func standbyReadsAndRecordsOnceItIsPromoted() throws {
      try shop.mask()
      try shop.admin.query("SELECT warden.guard('no parcels', 'block', '{read}', '{shop.parcels}', '{role:analyst}')")
      let standby = try Cluster(backupOf: shop.cluster, standby: true)
      try shop.connect("shop_owner").query("INSERT INTO shop.parcels VALUES (80, 1)")
      let analyst = try standby.connect(role: "analyst", database: shop.database)
      let admin = try standby.connect(database: shop.database)
      try waitUntil("it has followed") {
        try admin.query("SELECT count(*) FROM shop.parcels WHERE id = 80").value == "1"
      }
      #expect(try admin.query("SELECT pg_is_in_recovery()").value == "t")
      #expect(try analyst.query("SELECT email FROM shop.customers WHERE id = 1").value == Shop.maskedEmail)
      #expect(analyst.error("SELECT * FROM shop.parcels")?.detail.contains("no parcels") == true)
      #expect(try admin.query("SELECT ok FROM warden.verify_audit()").value == "t")
      let status = try admin.query("SELECT value FROM warden.status() WHERE name = 'audit writer'").value
      #expect(status?.contains("standby") == true)
      // Restarted as a standby it is the same, and leaves no copies of an empty spool behind.
      try standby.restart(.fast)

      let promoter = try standby.connect(database: shop.database)
      #expect(try promoter.query("SELECT pg_promote()").value == "t")
      // A session that was there before, and one that was not.
      try promoter.query("SELECT 'after promotion' AS same_session")
      try standby.connect(role: "shop_owner", database: shop.database).query("SELECT 'after promotion' AS new_session")
      try expectSound(standby)
      #expect(
        try standby.connect(database: shop.database).query(
          "SELECT count(*) FROM warden.audit_log WHERE statement LIKE 'SELECT ''after promotion''%' AND outcome = 'committed'"
        ).value == "2")
      // Everything is killed before the first checkpoint of the new timeline: the spool is this cluster's all the same.
      try standby.connect(role: "shop_owner", database: shop.database).query("SELECT 'before the crash'")
      try standby.killAll()
      try standby.start()
      try waitUntil("it takes connections") { (try? standby.connect()) != nil }
      try expectSound(standby)
      #expect(
        try standby.connect(database: shop.database).query(
          "SELECT count(*) FROM warden.audit_log WHERE statement = 'SELECT ''before the crash'''"
        ).value == "1")
    }
  }
}
