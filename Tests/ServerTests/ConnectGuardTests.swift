import Foundation
import Testing

extension ServerTests {
  /// Guards on `connect`, and the ways back for who has locked everybody out.
  @Suite struct ConnectGuardTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload]), database: "gate")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private func makeGuard(_ arguments: String) throws { try shop.admin.query("SELECT warden.guard(\(arguments))") }

    /// The FATAL error of a connection that must not come about.
    private func refusal(_ role: String, application: String = "test", options: String = "") throws -> String {
      do {
        _ = try shop.connect(role, options: options, application: application)
      } catch let error as ServerError {
        return error.message
      }
      throw HarnessError("\(role) could connect")
    }

    private func refusals(_ condition: String) throws -> [[String: String]] {
      try shop.audit(where: "event = 'auth_failed' AND (\(condition))")
    }
  }
}

extension ServerTests.ConnectGuardTests {
  @Test func whoMayNotConnectIsToldWhy() throws {
    try makeGuard("'closed', 'block', '{connect}', '{*}', '{role:agents}', message => 'Agents stay outside'")
    let message = try refusal("copilot")
    #expect(message.contains("FATAL:  CONNECT to database gate is blocked"))
    #expect(message.contains("DETAIL:  Guard \"closed\": Agents stay outside"))
    #expect(message.contains("HINT:") && message.contains("warden.mode = monitor"))
    let record = try #require(try refusals("guard = 'closed'").first)
    #expect(try refusals("guard = 'closed'").count == 1)
    #expect(record["decision"] == "blocked" && record["outcome"] == "blocked" && record["sqlstate"] == "42501")
    #expect(record["session_user_name"] == "copilot" && record["class"] == "connect")
    #expect(record["statement"]?.hasPrefix("reason=guard") == true)
    // Neither a session of its own nor anybody else's.
    #expect(try shop.audit(where: "event = 'connect' AND session_user_name = 'copilot'").isEmpty)
    #expect(try shop.connect("analyst").query("SELECT 1").value == "1")
    #expect(try shop.cluster.connect(role: "copilot", database: "postgres").query("SELECT 1").value == "1")
    try shop.expectUnbrokenChain()
  }

  @Test func subjectsEnvironmentsAndApplicationsDecide() throws {
    try makeGuard("'closed', 'block', '{connect}', '{*}', '{application:bad*}'")
    try makeGuard("'friday', 'block', '{connect}', '{*}', '{role:analyst}', '{staging}'")
    try makeGuard("'elsewhere', 'block', '{connect}', '{database:other,database:postgres}'")
    try makeGuard("'tcp', 'block', '{connect}', networks => '{0.0.0.0/0,::/0}'")
    #expect(try refusal("clerk", application: "badger").contains("Guard \"closed\""))
    #expect(try refusal("postgres", application: "bad").contains("Guard \"closed\""))
    #expect(try shop.connect("analyst").query("SELECT 1").value == "1")
    try makeGuard("'here', 'block', '{connect}', '{database:gate}', '{role:analyst}'")
    #expect(try refusal("analyst").contains("Guard \"here\""))
    // What a role would be once it is there does not help.
    try makeGuard("'leave', 'allow', '{connect}', '{*}', '{role:clerk}', priority => 1")
    try shop.admin.query("GRANT clerk TO analyst")
    defer { _ = try? shop.admin.query("REVOKE clerk FROM analyst") }
    #expect(try shop.connect("analyst").query("SELECT 1").value == "1")
  }

  @Test func leaveByPriorityAndApproval() throws {
    try makeGuard("'closed', 'require_approval', '{connect}', '{*}', '{*}'")
    try makeGuard("'dba', 'allow', '{connect}', '{*}', '{role:postgres}', priority => 1")
    #expect(try refusal("clerk").contains("CONNECT to database gate requires approval"))
    #expect(try refusals("guard = 'closed'").allSatisfy { $0["sqlstate"] == "WD001" })
    #expect(try shop.connect().query("SELECT 1").value == "1")
  }

  @Test func alertAndMonitorLetIn() throws {
    try makeGuard("'watch', 'alert', '{connect}', '{*}', '{role:analyst}'")
    let listener = try shop.connect(application: "listener")
    try listener.query("LISTEN warden_events")
    #expect(try shop.connect("analyst").query("SELECT 1").value == "1")
    let alert = try #require(try shop.audit(where: "event = 'alert' AND guard = 'watch'").first)
    #expect(alert["class"] == "connect" && alert["session_user_name"] == "analyst")
    let start = try #require(try shop.audit(where: "event = 'connect' AND guard = 'watch'").first)
    #expect(start["decision"] == "allowed" && start["session_id"] == alert["session_id"])
    var payloads: [String] = []
    try waitUntil("the listener is told") {
      payloads += try listener.notifications()
      return !payloads.isEmpty
    }
    #expect(payloads.first?.contains("\"class\":\"connect\"") == true)
  }

  /// Everybody out, superusers too; then by the documented steps.
  @Test func lockedOutAndBackIn() throws {
    try shop.admin.query("SELECT warden.guard('everybody', 'block', '{all}')")
    #expect(try refusal("postgres").contains("Guard \"everybody\""))
    for mode in ["monitor", "off"] {
      try shop.cluster.configure(["warden.mode = \(mode)"])
      try shop.cluster.reload()
      try waitUntil("the mode is \(mode)") {
        (try? shop.connect().query("SHOW warden.mode").value) == mode
      }
    }
    let dba = try shop.connect(application: "rescue")
    #expect(try dba.query("SELECT warden.unguard('everybody')").value == "t")
    try shop.cluster.configure(["warden.mode = enforce"])
    try shop.cluster.reload()
    try waitUntil("guards are in force") { try dba.query("SHOW warden.mode").value == "enforce" }
    #expect(try shop.connect().query("SELECT 1").value == "1")
    // The server's own processes went on: the writer has all of it in the table.
    #expect(try refusals("guard = 'everybody'").contains { $0["session_user_name"] == "postgres" })
    let modes = try shop.audit(where: "event = 'policy' AND statement LIKE 'warden.mode%'")
    #expect(
      modes.compactMap { $0["statement"] } == [
        "warden.mode = monitor (before: enforce), by the server's configuration",
        "warden.mode = off (before: monitor), by the server's configuration",
        "warden.mode = enforce (before: off), by the server's configuration",
      ])
    try shop.expectUnbrokenChain()
  }

  /// In monitor mode a session that would be refused says so in its start.
  @Test func monitorRecordsWhatItWouldDo() throws {
    try shop.cluster.configure(["warden.mode = monitor"])
    try shop.cluster.reload()
    defer {
      try? shop.cluster.configure(["warden.mode = enforce"])
      try? shop.cluster.reload()
    }
    try waitUntil("monitoring") { try shop.admin.query("SHOW warden.mode").value == "monitor" }
    try makeGuard("'closed', 'block', '{connect}', '{*}', '{role:clerk}'")
    #expect(try shop.connect("clerk").query("SELECT 1").value == "1")
    let start = try #require(try shop.audit(where: "event = 'connect' AND guard = 'closed'").first)
    #expect(start["decision"] == "would_block" && start["outcome"] == "committed")
    try shop.admin.query("SELECT warden.unguard('closed')")
  }
}
