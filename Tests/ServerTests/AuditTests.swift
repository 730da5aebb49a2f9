import Foundation
import Testing

extension ServerTests {
  /// The audit of a server that runs: what is recorded, and how.
  @Suite struct AuditTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "audits")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }
  }
}

extension Shop {
  /// Numbers without holes or doubles from the first to the last, and a hash chain that holds.
  func expectUnbrokenChain(sourceLocation: SourceLocation = #_sourceLocation) throws {
    try admin.query("SELECT warden.flush()")
    let numbers = try admin.query(
      "SELECT count(*) = max(seq) - min(seq) + 1 AND count(*) = count(DISTINCT seq) FROM warden.audit_log")
    #expect(numbers.value == "t", "seq has holes or doubles", sourceLocation: sourceLocation)
    let verdict = try admin.query("SELECT ok, first_bad_seq, problem FROM warden.verify_audit()")
    #expect(verdict.rows.allSatisfy { $0.first == "t" }, "\(verdict.text)", sourceLocation: sourceLocation)
  }

  /// The one record of a statement that holds this text.
  func record(of text: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> [String: String] {
    let records = try audit(where: "event = 'statement'").filter { $0["statement"]?.contains(text) == true }
    #expect(records.count == 1, "\(records.count) records of \(text)", sourceLocation: sourceLocation)
    return records.first ?? [:]
  }
}

// MARK: - Outcomes

extension ServerTests.AuditTests {
  @Test func recordSaysWhoDidWhat() throws {
    let session = try shop.connect("copilot", application: "night batch")
    try session.query("SET ROLE analyst")
    try session.query("UPDATE shop.orders SET total = 11 WHERE id IN (1, 2)")
    let record = try shop.record(of: "UPDATE shop.orders SET total = 11")
    #expect(record["session_user_name"] == "copilot" && record["role_name"] == "analyst")
    #expect(record["database_name"] == shop.database && record["application_name"] == "night batch")
    #expect(record["command"] == "UPDATE" && record["environment"] == "production")
    #expect(record["rows"] == "2" && record["decision"] == "allowed" && record["outcome"] == "committed")
    #expect(record["client_addr"] == nil && record["sqlstate"] == nil)
    #expect(Double(record["duration_ms"] ?? "") != nil)
  }

  @Test func outcomeIsTheTransactions() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("INSERT INTO shop.parcels VALUES (10, 1)")
    try owner.query("BEGIN; INSERT INTO shop.parcels VALUES (11, 1); COMMIT")
    try owner.query("BEGIN; INSERT INTO shop.parcels VALUES (12, 1); ROLLBACK")
    #expect(try shop.record(of: "(10, 1)")["outcome"] == "committed")
    #expect(try shop.record(of: "(11, 1)")["outcome"] == "committed")
    #expect(try shop.record(of: "(12, 1)")["outcome"] == "rolled_back")
  }

  @Test func outcomeIsTheSavepoints() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      BEGIN; INSERT INTO shop.parcels VALUES (20, 1); SAVEPOINT s; INSERT INTO shop.parcels VALUES (21, 1);
      ROLLBACK TO s; INSERT INTO shop.parcels VALUES (22, 1); SAVEPOINT t; INSERT INTO shop.parcels VALUES (23, 1);
      RELEASE t; COMMIT
      """)
    let outcomes = try [20, 21, 22, 23].map { try shop.record(of: "(\($0), 1)")["outcome"] }
    #expect(outcomes == ["committed", "rolled_back", "committed", "committed"])
  }

  @Test func longTransactionKeepsItsOutcome() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("BEGIN; INSERT INTO shop.parcels VALUES (30, 1)")
    // The record is written, and taken by the writer, before its outcome is known.
    #expect(try shop.record(of: "(30, 1)")["outcome"] == "open")
    try owner.query("ROLLBACK")
    #expect(try shop.record(of: "(30, 1)")["outcome"] == "rolled_back")
  }

  static let failures = [
    ("SELECT 1 / (i - i) AS division FROM generate_series(1, 1) i", "22012"),
    // The planner computes it: the statement never gets to the executor.
    ("INSERT INTO shop.parcels VALUES (1, 1)", "23505"),
    ("INSERT INTO shop.orders VALUES (77, 77, 77)", "23503"),
    ("DO $$BEGIN RAISE 'custom'; END$$", "P0001"),
    ("CREATE TABLE shop.orders (a int)", "42P07"),
  ]

  @Test(arguments: failures) func failureIsRecorded(_ sql: String, _ sqlstate: String) throws {
    #expect(try shop.connect("shop_owner").error(sql)?.sqlstate == sqlstate)
    let record = try shop.record(of: sql)
    #expect(record["outcome"] == "failed" && record["sqlstate"] == sqlstate && record["decision"] == "allowed")
    #expect(record["error"]?.isEmpty == false)
  }

  @Test func failureTakesTheTransactionAlong() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("BEGIN; INSERT INTO shop.parcels VALUES (40, 1)")
    #expect(owner.error("SELECT 1 / (i - i) AS second FROM generate_series(1, 1) i") != nil)
    try owner.query("COMMIT")
    #expect(try shop.record(of: "(40, 1)")["outcome"] == "rolled_back")
    #expect(try shop.record(of: "AS second")["outcome"] == "failed")
  }

  @Test func refusedStatementIsRecordedThoughRolledBack() throws {
    let owner = try shop.connect("shop_owner")
    #expect(owner.error("BEGIN; DELETE FROM shop.orders; COMMIT")?.sqlstate == "42501")
    try owner.query("ROLLBACK")
    let record = try shop.record(of: "DELETE FROM shop.orders")
    #expect(record["outcome"] == "blocked" && record["decision"] == "blocked" && record["sqlstate"] == "42501")
    #expect(record["guard"] == "whole-table-dml")
  }

  @Test func readOnlyTransactionIsRecorded() throws {
    try shop.connect("shop_owner").query("BEGIN READ ONLY; SELECT count(*) FROM shop.parcels; COMMIT")
    #expect(try shop.record(of: "count(*)")["outcome"] == "committed")
  }
}

// MARK: - What a record holds

extension ServerTests.AuditTests {
  @Test func statementsOfOneMessageAreRecordedOneByOne() throws {
    try shop.connect("shop_owner").query("SELECT 101; INSERT INTO shop.parcels VALUES (50, 1); SELECT 102")
    let texts = try shop.audit().compactMap { $0["statement"] }
    #expect(texts == ["SELECT 101", "INSERT INTO shop.parcels VALUES (50, 1)", "SELECT 102"])
  }

  @Test func innerStatementNamesItsParent() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("DO $$BEGIN INSERT INTO shop.parcels VALUES (60, 1); END$$")
    try owner.query(
      "CREATE FUNCTION shop.f() RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE shop.parcels SET weight = 61 WHERE id = 60; END'"
    )
    try owner.query("SELECT shop.f()")
    for (outer, inner) in [("DO", "INSERT"), ("SELECT", "UPDATE")] {
      let parent = try #require(try shop.audit(where: "command = '\(outer)' AND parent_no IS NULL").first)
      let child = try #require(try shop.audit(where: "command = '\(inner)'").first)
      #expect(child["parent_no"] == parent["statement_no"] && child["session_id"] == parent["session_id"])
    }
  }

  @Test func cursorIsOneRecord() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM shop.orders; FETCH 2 FROM c; FETCH 2 FROM c; COMMIT")
    let touched = try shop.access(where: "role_name = 'shop_owner'").filter { $0["relation"] == "shop.orders" }
    #expect(Set(touched.map { $0["seq"] }).count == 1)
    let number = try #require(touched.first?["seq"])
    #expect(try shop.audit(where: "seq = \(number)").first?["rows"] == "4")
  }

  @Test func accessNamesRelationsActionsAndColumns() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("SELECT o.total, c.city FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id")
    let join = try shop.access(where: "command = 'SELECT'")
    #expect(join.map { $0["relation"] } == ["shop.customers", "shop.orders"])
    #expect(join.map { $0["action"] } == ["read", "read"])
    #expect(join.map { $0["columns"] } == ["{id,city}", "{customer_id,total}"])

    try owner.query("WITH d AS (DELETE FROM shop.parcels WHERE id = 1 RETURNING id) SELECT * FROM d, shop.customers")
    let actions = try shop.access(where: "statement LIKE 'WITH d%'").map {
      "\($0["action"] ?? "") \($0["relation"] ?? "")"
    }
    #expect(actions.contains("delete shop.parcels") && actions.contains("read shop.customers"))
  }

  @Test func mergeIsTheActionsItHas() throws {
    try shop.connect("shop_owner").query(
      """
      MERGE INTO shop.parcels p USING (VALUES (1), (99)) v (id) ON v.id = p.id
      WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1)
      """)
    let actions = try shop.access(where: "command = 'MERGE'").compactMap { $0["action"] }
    #expect(actions.contains("delete") && actions.contains("insert") && !actions.contains("update"))
  }

  @Test func parallelQueryIsOneRecord() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE TABLE shop.big AS SELECT i FROM generate_series(1, 50000) i; ANALYZE shop.big;
      SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0
      """)
    #expect(try owner.query("EXPLAIN SELECT count(*) FROM shop.big").text.contains("Gather"))
    try owner.query("SELECT count(*) AS parallel FROM shop.big")
    #expect(try shop.record(of: "AS parallel")["rows"] == "1")
  }

  @Test func passwordsAreNeverStored() throws {
    let superuser = try shop.connect()
    let password = "s3cr3t" + "-pass"
    _ = superuser.error("CREATE ROLE holder LOGIN PASSWORD '\(password)'")
    _ = superuser.error("CREATE ROLE holder LOGIN PASSWORD '\(password)'")
    _ = superuser.error("ALTER ROLE holder PASSWORD '\(password)'")
    _ = superuser.error("CREATE USER shop_owner ENCRYPTED PASSWORD '\(password)'")
    _ = superuser.error("DO $$BEGIN EXECUTE 'ALTER ROLE holder PASSWORD ''\(password)'''; END$$")
    _ = superuser.error("SELECT 1; ALTER ROLE holder PASSWORD '\(password)'; SELECT 2")
    #expect(try shop.audit(where: "command IN ('CREATE ROLE', 'ALTER ROLE')").count >= 6)
    // Where the text is: nowhere, whatever the column.
    for relation in ["warden.audit_log", "warden.audit_record"] {
      let found = try shop.admin.query("SELECT count(*) FROM \(relation) r WHERE r::text LIKE '%s3cr3t' || '-pass%'")
      #expect(found.value == "0", "in \(relation)")
    }
  }

  @Test func longTextIsCut() throws {
    let text = String(repeating: "x", count: 100_000)
    try shop.connect("shop_owner").query("SELECT length('\(text)')")
    let record = try shop.record(of: "SELECT length(")
    let kept = record["statement"] ?? ""
    #expect(kept.utf8.count > 8_000 && kept.utf8.count < 20_000)
    #expect(record["statement_hash"] != nil)
  }

  @Test func multibyteTextIsCutBetweenCharacters() throws {
    let text = String(repeating: "é€😀", count: 10_000)
    try shop.connect("shop_owner").query("SELECT length('\(text)')")
    // Reading it back would fail where a character is cut in two.
    #expect(try shop.record(of: "SELECT length(")["statement"]?.contains("é€😀") == true)
  }

  @Test func copyIsRecordedWithItsRows() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("COPY shop.orders TO STDOUT")
    try owner.copyIn("COPY shop.parcels FROM STDIN", "70\t1\n71\t1\n")
    #expect(try shop.record(of: "COPY shop.orders")["rows"] == "4")
    #expect(try shop.record(of: "COPY shop.parcels")["rows"] == "2")
  }
}

// MARK: - The trail as a whole

extension ServerTests.AuditTests {
  @Test func concurrentWritersMakeOneChain() throws {
    let writers = 20
    let statements = 25
    let sessions = try (0..<writers).map { try shop.connect("shop_owner", application: "writer \($0)") }
    for (writer, session) in sessions.enumerated() {
      let inserts = (0..<statements).map { "INSERT INTO shop.parcels VALUES (\(1000 + writer * statements + $0), 1)" }
      try session.send(inserts.joined(separator: ";"))
    }
    for session in sessions { try session.receive() }
    let records = try shop.audit(where: "application_name LIKE 'writer %' AND command = 'INSERT'")
    #expect(records.count == writers * statements)
    #expect(Set(records.compactMap { $0["statement"] }).count == writers * statements)
    #expect(Set(records.compactMap { $0["session_id"] }).count == writers)
    #expect(records.allSatisfy { $0["outcome"] == "committed" })
    try shop.expectUnbrokenChain()
  }

  @Test func numbersHaveNoHolesAfterFailures() throws {
    let owner = try shop.connect("shop_owner")
    for number in 0..<20 {
      _ = owner.error(number % 3 == 0 ? "DELETE FROM shop.orders" : "SELECT 1 / \(number % 2)")
    }
    try shop.expectUnbrokenChain()
  }

  @Test func auditorReadsAndNobodyElse() throws {
    let auditor = try shop.connect("auditor")
    #expect(try auditor.query("SELECT count(*) > 0 FROM warden.audit_log").value == "t")
    #expect(auditor.error("SELECT * FROM warden.audit_access LIMIT 1") == nil)
    #expect(try auditor.query("SELECT ok FROM warden.verify_audit()").value == "t")
    #expect(auditor.error("DELETE FROM warden.audit_record WHERE seq = 1")?.sqlstate == "42501")
    for role in ["shop_owner", "analyst", "policy_admin"] {
      #expect(try shop.connect(role).error("SELECT * FROM warden.audit_log")?.sqlstate == "42501")
    }
    #expect(try shop.audit(where: "role_name = 'auditor' AND class LIKE '%read%'").isEmpty == false)
  }

  @Test func statusIsHealthy() throws {
    let status = try shop.admin.query("SELECT name, value, healthy FROM warden.status()")
    #expect(status.rows.contains { $0[0] == "mode" && $0[1] == "enforce" })
    for row in status.rows { #expect(row[2] != "f", "\(row)") }
  }

  @Test func connectionsAreRecorded() throws {
    // In scope of a statement, so that the order is certain.
    do { try shop.connect("clerk", application: "short visit").query("SELECT 1") }
    try waitUntil("the session has ended") {
      try shop.admin.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'short visit'").value == "0"
    }
    #expect(try shop.audit(where: "session_user_name = 'clerk' AND event = 'statement'").count == 1)
  }
}

// MARK: - Crashes and tampering

extension ServerTests {
  /// The audit across crashes, and when it is altered behind the server's back.
  @Suite struct AuditCrashTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Cluster([Clusters.preload]), database: "crashes")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    /// Leaves a session in the middle of a statement, with work before it that is committed and work that is not.
    private func startVictim() throws -> Connection {
      let victim = try shop.connect("shop_owner", application: "victim")
      try victim.query("INSERT INTO shop.parcels VALUES (10, 1)")
      try victim.query("BEGIN; INSERT INTO shop.parcels VALUES (11, 1)")
      try victim.send("SELECT pg_sleep(600)")
      try waitUntil("the victim sleeps") {
        try shop.admin.query(
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim' AND wait_event = 'PgSleep'"
        ).value == "1"
      }
      return victim
    }

    /// Everything before the crash is there once, and what was under way is known to be.
    private func expectCompleteTrail() throws {
      try shop.reconnect()
      #expect(try shop.admin.query("SELECT count(*) FROM shop.parcels WHERE id IN (10, 11)").value == "1")
      #expect(try shop.record(of: "(10, 1)")["outcome"] == "committed")
      #expect(try shop.record(of: "(11, 1)")["outcome"] == "interrupted")
      #expect(try shop.record(of: "pg_sleep")["outcome"] == "interrupted")
      try shop.expectUnbrokenChain()
      // And the trail goes on.
      try shop.connect("shop_owner").query("INSERT INTO shop.parcels VALUES (12, 1)")
      #expect(try shop.record(of: "(12, 1)")["outcome"] == "committed")
      try shop.expectUnbrokenChain()
    }

    @Test func killedBackendLosesNoRecord() throws {
      let victim = try startVictim()
      try shop.cluster.killBackend(victim.processID)
      try expectCompleteTrail()
    }

    @Test func immediateShutdownLosesNoRecord() throws {
      let victim = try startVictim()
      try shop.cluster.restart(.immediate)
      #expect(throws: ServerError.self) { try victim.receive() }
      try expectCompleteTrail()
    }

    @Test func burstBeforeTheKillIsThere() throws {
      let sessions = try (0..<4).map { try shop.connect("shop_owner", application: "burst \($0)") }
      for (number, session) in sessions.enumerated() {
        let inserts = (0..<50).map { "INSERT INTO shop.parcels VALUES (\(100 + number * 50 + $0), 1)" }
        try session.query("BEGIN;" + inserts.joined(separator: ";") + "; COMMIT")
      }
      try shop.cluster.killBackend(sessions[0].processID)
      try shop.reconnect()
      let records = try shop.audit(where: "application_name LIKE 'burst %' AND command = 'INSERT'")
      #expect(records.count == 200)
      #expect(records.allSatisfy { $0["outcome"] == "committed" })
      try shop.expectUnbrokenChain()
    }

    @Test func terminatedBackendIsRecorded() throws {
      let victim = try startVictim()
      try shop.admin.query("SELECT pg_terminate_backend($1::int)", "\(victim.processID)")
      #expect(throws: ServerError.self) { try victim.receive() }
      let record = try shop.record(of: "pg_sleep")
      #expect(["failed", "interrupted"].contains(record["outcome"]) && record["sqlstate"] ?? "57P01" == "57P01")
      #expect(["rolled_back", "interrupted"].contains(try shop.record(of: "(11, 1)")["outcome"]))
      try shop.expectUnbrokenChain()
    }

    @Test func orderlyRestartGoesOn() throws {
      try shop.connect("shop_owner").query("INSERT INTO shop.parcels VALUES (20, 1)")
      try shop.cluster.restart(.fast)
      try shop.reconnect()
      #expect(try shop.record(of: "(20, 1)")["outcome"] == "committed")
      try shop.expectUnbrokenChain()
    }
  }
}
