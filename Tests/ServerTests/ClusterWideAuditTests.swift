import Foundation
import Testing

extension ServerTests {
  /// What concerns the whole cluster is recorded in every governed database, wherever it ran.
  @Suite struct ClusterWideAuditTests {
    private nonisolated(unsafe) static let suite = Result { try prepare() }
    let shop: Shop
    let cluster: Cluster

    init() throws {
      shop = try Self.suite.get()
      cluster = shop.cluster
      if !shop.admin.isOpen { try shop.reconnect() }
    }

    private static func prepare() throws -> Shop {
      let cluster = try Cluster([Clusters.preload, "max_prepared_transactions = 5"])
      let shop = try Shop(cluster, database: "north")
      for database in ["south", "open_land"] { try cluster.connect().query("CREATE DATABASE \(database)") }
      let south = try cluster.connect(database: "south")
      try south.query("CREATE EXTENSION pg_warden")
      // Governed from the first statement after CREATE EXTENSION on.
      for admin in [south, shop.admin] { try admin.query("SELECT 1") }
      return shop
    }

    /// The records of statements that hold the text, in a governed database.
    private func records(of text: String, in database: String) throws -> [[String: String]] {
      let admin = try cluster.connect(database: database, application: "test admin")
      try admin.query("SELECT warden.flush()")
      return try admin.query(
        """
        SELECT * FROM warden.audit_log
         WHERE event = 'statement' AND application_name <> 'test admin' AND strpos(statement, $1) > 0 ORDER BY seq
        """, text
      ).records
    }

    /// One record in each governed database, with this outcome, from there.
    private func expect(
      _ text: String, _ outcome: String, from database: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      for governed in ["north", "south"] {
        let found = try records(of: text, in: governed)
        #expect(found.count == 1, "\(text) in \(governed): \(found)", sourceLocation: sourceLocation)
        #expect(found.first?["outcome"] == outcome, "\(text) in \(governed): \(found)", sourceLocation: sourceLocation)
        #expect(found.first?["database_name"] == database, sourceLocation: sourceLocation)
      }
    }

    private func expectUnbrokenChains() throws {
      for database in ["north", "south"] {
        let admin = try cluster.connect(database: database, application: "test admin")
        try admin.query("SELECT warden.flush()")
        let verdict = try admin.query("SELECT bool_and(ok) FROM warden.verify_audit()")
        let numbers = try admin.query("SELECT count(*) = max(seq) - min(seq) + 1 FROM warden.audit_log")
        #expect(verdict.value == "t" && numbers.value == "t", "\(database)")
        #expect(try admin.query("SELECT count(*) FROM warden.audit_log WHERE event = 'gap'").value == "0")
      }
    }
  }
}

extension ServerTests.ClusterWideAuditTests {
  static let commands = [
    "CREATE ROLE traveller LOGIN PASSWORD 's3cretTravel'", "ALTER ROLE traveller SET work_mem = '1MB'",
    "CREATE ROLE guild", "GRANT guild TO traveller", "REVOKE guild FROM traveller",
    "ALTER ROLE guild RENAME TO company", "ALTER DATABASE open_land SET work_mem = '2MB'",
    "GRANT CONNECT ON DATABASE open_land TO traveller",
    "REVOKE CONNECT ON DATABASE open_land FROM traveller", "CREATE DATABASE island",
    "ALTER DATABASE island RENAME TO isle", "DROP DATABASE isle", "REASSIGN OWNED BY company TO traveller",
    "DROP OWNED BY company", "DROP ROLE company", "ALTER SYSTEM SET work_mem = '3MB'", "ALTER SYSTEM RESET work_mem",
    "DROP ROLE traveller",
  ]

  @Test func everyCommandFromAnUngovernedDatabase() throws {
    let session = try cluster.connect(database: "open_land", application: "outside")
    for command in Self.commands {
      try session.query(command)
      let text = command.components(separatedBy: " PASSWORD").first ?? command
      try expect(text, "committed", from: "open_land")
    }
    for database in ["north", "south"] {
      let record = try records(of: "CREATE ROLE traveller", in: database).first ?? [:]
      #expect(record["class"] == "role" && record["command"] == "CREATE ROLE" && record["decision"] == "allowed")
      #expect(record["session_user_name"] == "postgres" && record["application_name"] == "outside")
      #expect(record["statement"]?.contains("s3cret") == false && Double(record["duration_ms"] ?? "") != nil)
    }
    try expectUnbrokenChains()
  }

  @Test func commandsOfAGovernedDatabaseConcernTheOthers() throws {
    let session = try cluster.connect(database: "north", application: "inside")
    try session.query("CREATE ROLE from_north")
    try expect("CREATE ROLE from_north", "committed", from: "north")
    try session.query("SELECT 1 AS local_matter")
    #expect(try records(of: "local_matter", in: "south").isEmpty)
    #expect(session.error("ALTER SYSTEM SET jit = off")?.sqlstate == "42501")
    try expect("ALTER SYSTEM SET jit = off", "blocked", from: "north")
    #expect(try records(of: "ALTER SYSTEM SET jit", in: "south").first?["guard"] == "server-escape")
    try expectUnbrokenChains()
  }

  @Test func outcomeIsTheTransactions() throws {
    let session = try cluster.connect(database: "open_land", application: "outside")
    try session.query("BEGIN; CREATE ROLE undone_role; ROLLBACK")
    try expect("CREATE ROLE undone_role", "rolled_back", from: "open_land")
    try session.query(
      "BEGIN; CREATE ROLE kept_role; SAVEPOINT s; CREATE ROLE lost_role; ROLLBACK TO s; CREATE ROLE last_role; COMMIT")
    try expect("CREATE ROLE kept_role", "committed", from: "open_land")
    try expect("CREATE ROLE lost_role", "rolled_back", from: "open_land")
    try expect("CREATE ROLE last_role", "committed", from: "open_land")
    #expect(session.error("CREATE ROLE kept_role SUPERUSER")?.sqlstate == "42710")
    try expect("CREATE ROLE kept_role SUPERUSER", "failed", from: "open_land")
    for database in ["north", "south"] {
      #expect(try records(of: "kept_role SUPERUSER", in: database).first?["sqlstate"] == "42710")
    }
    try session.query("DO $$BEGIN EXECUTE 'CREATE ROLE hid' || 'den_role'; END$$")
    try expect("CREATE ROLE hidden_role", "committed", from: "open_land")
    try expectUnbrokenChains()
  }

  /// The writers have the start of the command in their tables long before its transaction ends.
  @Test func outcomeOfALongTransaction() throws {
    let session = try cluster.connect(database: "open_land", application: "outside")
    try session.query("BEGIN; CREATE ROLE slow_role")
    try expect("CREATE ROLE slow_role", "open", from: "open_land")
    try session.query("COMMIT")
    try expect("CREATE ROLE slow_role", "committed", from: "open_land")
    try session.query("BEGIN; CREATE ROLE vain_role")
    try expect("CREATE ROLE vain_role", "open", from: "open_land")
    try session.query("ROLLBACK")
    try expect("CREATE ROLE vain_role", "rolled_back", from: "open_land")
    try expectUnbrokenChains()
  }

  @Test func refusalsOfUngovernedDatabasesAreRecorded() throws {
    let session = try cluster.connect(database: "open_land", application: "outside")
    #expect(session.error("DROP DATABASE south")?.sqlstate == "42501")
    try expect("DROP DATABASE south", "blocked", from: "open_land")
    #expect(session.error("ALTER SYSTEM SET warden.mode = off")?.sqlstate == "42501")
    try expect("ALTER SYSTEM SET warden.mode = off", "blocked", from: "open_land")
    for database in ["north", "south"] {
      let record = try records(of: "DROP DATABASE south", in: database).first ?? [:]
      #expect(record["guard"] == "self-protection" && record["decision"] == "blocked")
      #expect(record["sqlstate"] == "42501" && record["error"]?.isEmpty == false)
    }
    try expectUnbrokenChains()
  }

  @Test func killedCommandIsInterrupted() throws {
    let session = try cluster.connect(database: "open_land", application: "outside")
    try session.query("BEGIN; CREATE ROLE dying_role")
    try cluster.killBackend(session.processID)
    try shop.reconnect()
    try expect("CREATE ROLE dying_role", "interrupted", from: "open_land")
    try expectUnbrokenChains()
  }

  @Test func manyAtOnceDoNotWaitForEachOtherForEver() throws {
    let sessions = try (1...8).map { _ in try cluster.connect(database: "open_land", application: "outside") }
    for (number, session) in sessions.enumerated() { try session.query("BEGIN; CREATE ROLE crowd_\(number)") }
    for session in sessions { try session.query("COMMIT") }
    for number in sessions.indices { try expect("CREATE ROLE crowd_\(number)", "committed", from: "open_land") }
    try expectUnbrokenChains()
  }

  @Test func physicalReplicationConcernsAll() throws {
    _ = try cluster.connect(database: "", application: "a standby", more: ["replication": "true"])
    for database in ["north", "south"] {
      let admin = try cluster.connect(database: database, application: "test admin")
      try admin.query("SELECT warden.flush()")
      let found = try admin.query(
        "SELECT statement FROM warden.audit_log WHERE event = 'connect' AND application_name = 'a standby'")
      #expect(found.rows.count == 1 && found.value?.contains("replication=physical") == true)
    }
  }
}
