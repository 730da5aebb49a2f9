import Foundation
import Testing

extension ServerTests {
  /// Who came, who was turned away, who left: on a cluster with passwords and lines that reject.
  @Suite struct ConnectionAuditTests {
    private nonisolated(unsafe) static let suite = Result { try prepare() }
    let shop: Shop
    let cluster: Cluster

    init() throws {
      shop = try Self.suite.get()
      cluster = shop.cluster
      try shop.refill()
    }

    static let password = "s3cretRight"

    private static func prepare() throws -> Shop {
      let cluster = try Cluster([Clusters.preload])
      let shop = try Shop(cluster, database: "door")
      for database in ["second_door", "open_door", "shut_door"] {
        try cluster.connect().query("CREATE DATABASE \(database)")
      }
      try cluster.connect().query(
        """
        SET password_encryption = 'scram-sha-256';
        CREATE ROLE by_password LOGIN PASSWORD '\(password)';
        CREATE ROLE was_here LOGIN PASSWORD '\(password)' VALID UNTIL '2020-01-01';
        CREATE ROLE turned_away LOGIN; CREATE ROLE nobody_at_all; CREATE ROLE no_more LOGIN CONNECTION LIMIT 0;
        CREATE ROLE outsider LOGIN;
        """)
      for database in ["second_door", "shut_door"] {
        let admin = try cluster.connect(database: database)
        try admin.query("CREATE EXTENSION pg_warden")
        // Governed from its first statement on.
        try admin.query("SELECT 1")
      }
      try cluster.connect().query("REVOKE CONNECT ON DATABASE shut_door FROM PUBLIC")
      try cluster.authenticate([
        "local all by_password,was_here,ghost scram-sha-256", "local all turned_away reject",
        "local replication all trust",
      ])
      return shop
    }

    private func events(_ names: String, _ condition: String = "true") throws -> [[String: String]] {
      try shop.audit(where: "event IN (\(names)) AND (\(condition))")
    }

    /// The one record of an event in another database than the shop's.
    private func count(in database: String, _ condition: String) throws -> Int {
      let admin = try cluster.connect(database: database, application: "test admin")
      try admin.query("SELECT warden.flush()")
      let count = try admin.query("SELECT count(*) FROM warden.audit_log WHERE \(condition)").value
      return Int(count ?? "") ?? -1
    }

    /// Leaves, and waits until the record is there.
    private func end(of application: String) throws -> [String: String] {
      var found: [[String: String]] = []
      try waitUntil("the end of \(application) is recorded") {
        found = try events("'disconnect'", "application_name = '\(application)'")
        return !found.isEmpty
      }
      #expect(found.count == 1)
      return found[0]
    }
  }
}

// MARK: - Sessions

extension ServerTests.ConnectionAuditTests {
  @Test func sessionBeginsAndEnds() throws {
    var session: Connection? = try cluster.connect(
      role: "by_password", database: shop.database, application: "a visit", more: ["password": Self.password])
    try session?.query("SELECT 1")
    try session?.query("SELECT 2")
    session = nil
    let end = try end(of: "a visit")
    let all = try shop.audit(where: "application_name = 'a visit'")
    #expect(all.compactMap { $0["event"] } == ["connect", "statement", "statement", "disconnect"])
    let start = all[0]
    #expect(start["statement"] == "authentication method=scram-sha-256 identity=by_password")
    #expect(start["session_user_name"] == "by_password" && start["database_name"] == shop.database)
    #expect(start["class"] == "connect" && start["outcome"] == "committed" && start["client_addr"] == nil)
    #expect(start["statement_no"] == nil && all[1]["statement_no"] == "1")
    #expect(Set(all.compactMap { $0["session_id"] }).count == 1)
    #expect(end["statement"] == "statements=2 reason=closed" && end["outcome"] == "committed")
    #expect(Double(end["duration_ms"] ?? "") ?? 0 > 0)
    try shop.expectUnbrokenChain()
  }

  @Test func sessionWithoutStatements() throws {
    _ = try shop.connect("analyst", application: "silent")
    #expect(try end(of: "silent")["statement"] == "statements=0 reason=closed")
    #expect(try events("'connect'", "application_name = 'silent'").count == 1)
  }

  @Test func sessionRightAfterTheStart() throws {
    try cluster.restart()
    _ = try shop.connect("analyst", application: "early bird")
    try shop.reconnect()
    #expect(try end(of: "early bird")["outcome"] == "committed")
    #expect(try events("'connect'", "application_name = 'early bird'").count == 1)
    try shop.expectUnbrokenChain()
  }

  @Test func terminatedSessionSaysByWhat() throws {
    let session = try shop.connect("analyst", application: "unwelcome")
    try session.query("SELECT 1")
    try shop.admin.query("SELECT pg_terminate_backend($1::int)", "\(session.processID)")
    let end = try end(of: "unwelcome")
    #expect(end["outcome"] == "failed" && end["sqlstate"] == "57P01")
    #expect(end["statement"]?.hasSuffix("reason=terminated") == true)
    #expect(end["error"] == "terminating connection due to administrator command")
  }

  @Test func killedSessionIsInterrupted() throws {
    let session = try shop.connect("analyst", application: "killed")
    let bystander = try shop.connect("analyst", application: "beside the killed")
    try session.query("SELECT 1")
    try cluster.killBackend(session.processID)
    try shop.reconnect()
    for application in ["killed", "beside the killed"] {
      let start = try events("'connect'", "application_name = '\(application)'")
      #expect(start.count == 1)
      let identifier = start.first?["session_id"] ?? ""
      let ends = try events("'disconnect'", "session_id = '\(identifier)'")
      #expect(ends.count == 1 && ends.first?["outcome"] == "interrupted", "\(application): \(ends)")
    }
    #expect(!bystander.isOpen || bystander.error("SELECT 1") != nil)
    try shop.expectUnbrokenChain()
  }

  /// A transaction whose statements were in the table already when its session was killed.
  @Test func statementWrittenBeforeItsSessionWasKilledIsInterrupted() throws {
    let session = try shop.connect("shop_owner", application: "long one")
    try session.query("BEGIN; INSERT INTO shop.parcels VALUES (77, 7)")
    #expect(try shop.record(of: "(77, 7)")["outcome"] == "open")
    try cluster.killBackend(session.processID)
    try shop.reconnect()
    #expect(try shop.record(of: "(77, 7)")["outcome"] == "interrupted")
  }

  @Test func shortSessionsDoNotUseUpTheRings() throws {
    for _ in 1...250 { _ = try shop.connect("analyst", application: "short visit") }
    try waitUntil("all have left") {
      try events("'disconnect'", "application_name = 'short visit'").count == 250
    }
    #expect(try events("'connect'", "application_name = 'short visit'").count == 250)
    try shop.expectUnbrokenChain()
  }

  @Test func parallelWorkersAreNoSessions() throws {
    let session = try shop.connect("postgres", application: "parallel")
    try session.query(
      """
      CREATE TABLE lab.many AS SELECT i FROM generate_series(1, 10000) i;
      SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
      SET force_parallel_mode = on
      """)
    #expect(try session.query("SELECT count(*) FROM lab.many").value == "10000")
    #expect(try events("'connect', 'disconnect'", "application_name = 'parallel'").count == 1)
  }

  @Test func replicationConnectionOfADatabaseIsRecorded() throws {
    _ = try cluster.connect(
      database: shop.database, application: "logical", more: ["replication": "database"])
    #expect(try end(of: "logical")["outcome"] == "committed")
    #expect(try events("'connect'", "application_name = 'logical'").count == 1)
  }

  @Test func connectionsAreAClassOfTheSetting() throws {
    try cluster.configure(["warden.audit = 'write, ddl'"])
    try cluster.reload()
    defer {
      try? cluster.configure(["warden.audit = 'all'"])
      try? cluster.reload()
    }
    try waitUntil("the setting is in force") {
      try cluster.connect(database: shop.database, application: "test admin").query("SHOW warden.audit").value != "all"
    }
    try shop.connect("shop_owner", application: "unseen").query("INSERT INTO shop.parcels VALUES (99, 9)")
    #expect(throws: ServerError.self) { try shop.connect("turned_away", application: "unseen") }
    #expect(try shop.audit(where: "application_name = 'unseen'").compactMap { $0["event"] } == ["statement"])
  }
}

// MARK: - Refused

struct Refusal: Sendable, CustomStringConvertible {
  let role: String
  var password: String?
  let reason: String
  let sqlstate: String
  var description: String { "\(role): \(reason)" }
}

extension ServerTests.ConnectionAuditTests {
  static let refusals = [
    Refusal(role: "by_password", password: "s3cretWrong", reason: "wrong_password", sqlstate: "28P01"),
    Refusal(role: "was_here", password: password, reason: "expired", sqlstate: "28P01"),
    Refusal(role: "ghost", password: "s3cretWrong", reason: "no_such_role", sqlstate: "28P01"),
    Refusal(role: "ghost_trusted", reason: "no_such_role", sqlstate: "28000"),
    Refusal(role: "turned_away", reason: "hba_rejects", sqlstate: "28000"),
    Refusal(role: "nobody_at_all", reason: "login_not_permitted", sqlstate: "28000"),
    Refusal(role: "no_more", reason: "too_many_connections", sqlstate: "53300"),
  ]

  @Test(arguments: refusals) func failedLoginSaysWhy(_ refusal: Refusal) throws {
    let more = refusal.password.map { ["password": $0] } ?? [:]
    #expect(throws: ServerError.self) {
      try cluster.connect(role: refusal.role, database: shop.database, application: "refused", more: more)
    }
    let records = try events("'auth_failed'", "session_user_name = '\(refusal.role)'")
    #expect(records.count == 1)
    let record = records.first ?? [:]
    #expect(record["statement"]?.hasPrefix("reason=\(refusal.reason)") == true, "\(record)")
    #expect(record["sqlstate"] == refusal.sqlstate && record["outcome"] == "failed")
    #expect(record["database_name"] == shop.database && record["application_name"] == "refused")
    #expect(record["error"]?.isEmpty == false)
    #expect(!record.values.contains { $0.contains("s3cret") })
    // Those who never had a session have no end of one.
    #expect(try events("'connect', 'disconnect'", "session_user_name = '\(refusal.role)'").isEmpty)
  }

  @Test func noLineOfHbaForIt() throws {
    try cluster.authenticate(["local all outsider scram-sha-256", "local \(shop.database) stranger reject"])
    #expect(throws: ServerError.self) { try shop.connect("stranger") }
    #expect(try events("'auth_failed'", "session_user_name = 'stranger'").count == 1)
    #expect(try count(in: "second_door", "event = 'auth_failed' AND session_user_name = 'stranger'") == 0)
  }

  @Test func noRightToConnect() throws {
    #expect(throws: ServerError.self) { try cluster.connect(role: "analyst", database: "shut_door") }
    let condition = "event = 'auth_failed' AND sqlstate = '42501' AND statement LIKE 'reason=no_connect_privilege%'"
    #expect(try count(in: "shut_door", condition) == 1)
  }

  @Test func databaseThatDoesNotExistConcernsAll() throws {
    #expect(throws: ServerError.self) { try cluster.connect(role: "analyst", database: "no_such_door") }
    let condition = "event = 'auth_failed' AND database_name = 'no_such_door' AND sqlstate = '3D000'"
    #expect(try shop.audit(where: condition).count == 1)
    #expect(try count(in: "second_door", condition) == 1)
  }

  @Test func databaseThatIsNotGovernedConcernsNone() throws {
    #expect(throws: ServerError.self) { try cluster.connect(role: "turned_away", database: "open_door") }
    #expect(try shop.audit(where: "database_name = 'open_door'").isEmpty)
    #expect(try count(in: "second_door", "database_name = 'open_door'") == 0)
  }

  @Test func hostileNamesBreakNothing() throws {
    let names = ["x\" ' = \\ y", String(repeating: "n", count: 300), "t\u{1}b\ne", "\u{e9}\u{1F600}"]
    for name in names {
      #expect(throws: ServerError.self) { try cluster.connect(role: name, database: shop.database, application: name) }
    }
    #expect(try events("'auth_failed'").count == names.count)
    try shop.expectUnbrokenChain()
  }

  @Test func manyFailuresAtOnce() throws {
    for _ in 1...200 {
      #expect(throws: ServerError.self) { try shop.connect("turned_away", application: "guessing") }
    }
    #expect(try events("'auth_failed'", "application_name = 'guessing'").count == 200)
    try shop.expectUnbrokenChain()
  }
}
