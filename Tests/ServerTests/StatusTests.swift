import Foundation
import Testing

extension ServerTests {
  /// What an operator sees of the audit's writer, and what is told when it falls behind.
  @Suite struct StatusTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload, "warden.spool_size = '256kB'"]), database: "watched")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private func status(_ name: String) throws -> (value: String, healthy: Bool) {
      let rows = try shop.admin.query("SELECT value, healthy FROM warden.status() WHERE name = $1", name).rows
      let row = try #require(rows.first, "no row \(name)")
      return (row[0] ?? "", row[1] == "t")
    }

    private func writer() throws -> Int32 {
      // One at rest is started by something to write.
      try shop.admin.query("SELECT warden.flush()")
      let query = """
        SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_warden writer' AND datname = current_database()
        """
      try waitUntil("a writer runs") { try shop.admin.query(query).value != nil }
      return try #require(Int32(try shop.admin.query(query).value ?? ""))
    }
  }
}

extension ServerTests.StatusTests {
  @Test func everyRowIsNamedAndHealthy() throws {
    try shop.admin.query("SELECT warden.flush()")
    let rows = try shop.admin.query("SELECT name, value, healthy FROM warden.status()").rows
    let names = rows.map { $0[0] ?? "" }
    for wanted in [
      "preloaded", "mode", "audit", "durability", "overflow", "policy", "policy generation", "audit writer",
      "last record", "last record written", "backlog", "backlog bytes", "oldest unwritten record", "fullest ring",
      "outcomes lost", "writer rate", "damaged records", "gaps", "partitions",
    ] {
      #expect(names.contains(wanted))
    }
    #expect(Set(names).count == names.count, "a name twice")
    for row in rows { #expect(row[1] != nil && row[2] == "t", "\(row)") }
    #expect(try status("writer rate").value.hasPrefix("0 ") == false)
  }

  @Test func policyGenerationGrows() throws {
    let before = try #require(Int(try status("policy generation").value))
    try shop.admin.query("SELECT warden.guard('g', 'alert', '{read}', '{shop.orders}')")
    #expect(try #require(Int(try status("policy generation").value)) > before)
  }

  /// A writer that hangs: the session that has no room waits; status, log, NOTIFY and the audit tell of it, once.
  @Test func fallingBehindIsToldOnce() throws {
    let listener = try shop.connect()
    try listener.query("LISTEN warden_events")
    let firstAlerts = try shop.audit(where: "event = 'alert'").count
    let process = try writer()
    kill(process, SIGSTOP)
    defer { kill(process, SIGCONT) }
    let busy = try shop.connect("shop_owner", application: "busy")
    let long = String(repeating: "x", count: 1_000)
    try busy.send((0..<400).map { "SELECT \($0), '\(long)'" }.joined(separator: ";"))
    try waitUntil("the ring is full") { try !status("fullest ring").healthy }
    try waitUntil("it is noticed") { try !status("backlog").healthy }
    let oldest = try status("oldest unwritten record")
    #expect(oldest.value.contains(" s old") && !oldest.healthy)
    #expect(try Int(status("backlog").value) ?? 0 > 10)
    // The launcher looks once a second.
    try waitUntil("the log tells") { shop.cluster.log().contains("is falling behind") }

    kill(process, SIGCONT)
    try busy.receive()
    var payloads: [String] = []
    try waitUntil("the alert is sent") {
      payloads += try listener.notifications()
      return payloads.contains { $0.contains("audit_falling_behind") }
    }
    let payload = try #require(payloads.first { $0.contains("audit_falling_behind") })
    let object = try #require(try JSONSerialization.jsonObject(with: Data(payload.utf8)) as? [String: Any])
    #expect(object["event"] as? String == "alert" && object["database"] as? String == shop.database)
    #expect(object["backlog"] is Int && object["fullest_ring_percent"] is Int)
    let alerts = try shop.audit(where: "event = 'alert'").dropFirst(firstAlerts)
    #expect(alerts.count == 1 && alerts.first?["statement"]?.hasPrefix("audit_falling_behind") == true)
    #expect(alerts.first?["outcome"] == "committed")
    // All of it was recorded in the end.
    #expect(try shop.audit(where: "application_name = 'busy' AND event = 'statement'").count == 400)
    try shop.expectUnbrokenChain()
  }
}

extension ServerTests.StatusTests {
  /// No process is left for a writer: nothing is lost, and status and log say why nothing is written.
  @Test func wantOfWorkersIsTold() throws {
    let cluster = try Cluster([Clusters.preload])
    let shop = try Shop(cluster, database: "poor")
    try shop.refill()
    // The launcher is the second worker; the server's own logical replication launcher is the first.
    try cluster.configure(["max_worker_processes = 2"])
    try cluster.restart()
    try shop.reconnect()
    let owner = try shop.connect("shop_owner")
    try owner.query("SELECT count(*) AS unwritten FROM shop.orders")
    try waitUntil("it is known") {
      try shop.admin.query("SELECT value FROM warden.status() WHERE name = 'audit writer' AND NOT healthy").value?
        .contains("max_worker_processes") == true
    }
    #expect(shop.cluster.log().contains("could not start the audit writer"))
    try cluster.configure(["max_worker_processes = 8"])
    try cluster.restart()
    try shop.reconnect()
    #expect(try shop.record(of: "AS unwritten")["outcome"] == "committed")
    try shop.expectUnbrokenChain()
  }
}
