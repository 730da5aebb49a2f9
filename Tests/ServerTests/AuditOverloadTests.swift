import Foundation
import Testing

extension ServerTests {
  /// The audit cannot be written for a while. Nothing runs unrecorded, nothing is lost, and the DBA can get in.
  @Suite struct AuditOverloadTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(
        Cluster([Clusters.preload, "max_connections = 12", "max_worker_processes = 8", "warden.spool_size = '256kB'"]),
        database: "overload")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.cluster.configure(["warden.audit_overflow = wait", "default_transaction_read_only = off"])
      try shop.admin.query("SELECT pg_reload_conf()")
      try shop.refill()
    }

    /// Runs with the writer stopped.
    private func withoutWriter(_ work: () throws -> Void) throws {
      _ = try shop.audit()
      let writer = try shop.writer()
      kill(writer, SIGSTOP)
      defer { kill(writer, SIGCONT) }
      try work()
    }

    private func overflow(_ setting: String) throws {
      try shop.cluster.configure(["warden.audit_overflow = \(setting)"])
      try shop.admin.query("SELECT pg_reload_conf()")
      try waitUntil("the setting is in force") {
        try shop.connect().query("SHOW warden.audit_overflow").value == setting
      }
    }

    /// Statements of 10 kB until one fails; how many succeeded, and the error.
    private func fill(_ session: Connection, _ name: String) throws -> (succeeded: Int, error: ServerError) {
      let text = String(repeating: "x", count: 10_000)
      for number in 0..<200 {
        if let error = session.error("SELECT '\(name) \(number)', length('\(text)')") { return (number, error) }
      }
      throw HarnessError("the ring does not get full")
    }

    private func expectFilled(_ name: String, _ succeeded: Int, sourceLocation: SourceLocation = #_sourceLocation)
      throws
    {
      let records = try shop.audit(where: "statement LIKE 'SELECT ''\(name) %' AND outcome = 'committed'")
      #expect(records.count == succeeded, sourceLocation: sourceLocation)
      try shop.expectUnbrokenChain(sourceLocation: sourceLocation)
    }

    @Test func waitingStatementCanBeCancelledAndGoesOn() throws {
      var succeeded = 0
      let session = try shop.connect("shop_owner")
      try session.query("SET statement_timeout = '500ms'")
      try withoutWriter {
        let filled = try fill(session, "waiting")
        succeeded = filled.succeeded
        #expect(filled.error.sqlstate == "57014", "\(filled.error.text)")
        #expect(succeeded > 5 && succeeded < 40)

        // By another session, which has room, as has another database.
        try session.query("RESET statement_timeout")
        let text = String(repeating: "y", count: 10_000)
        try session.send("SELECT length('\(text)')")
        try waitUntil("it waits") {
          try shop.admin.query(
            "SELECT pg_cancel_backend($1::int) FROM pg_stat_activity WHERE pid = $1::int AND wait_event_type = 'Extension'",
            "\(session.processID)"
          ).value == "t"
        }
        #expect(throws: ServerError.self) { try session.receive() }
        #expect(try shop.cluster.connect().query("SELECT 1").value == "1")
        let status = try shop.connect().query("SELECT healthy FROM warden.status() WHERE name = 'fullest ring'")
        #expect(status.value == "f")

        try session.send("SELECT 'waiting on', length('\(text)')")
        usleep(300_000)
      }
      #expect(try session.receive().rows.first?.last == "10000")
      try expectFilled("waiting", succeeded + 1)
    }

    @Test func transactionEndsWithAFullRing() throws {
      let session = try shop.connect("shop_owner")
      let other = try shop.connect("shop_owner")
      for each in [session, other] { try each.query("SET statement_timeout = '500ms'") }
      try withoutWriter {
        try session.query("BEGIN; INSERT INTO shop.parcels VALUES (60, 1); SAVEPOINT s")
        #expect(try fill(session, "committing").error.sqlstate == "57014")
        try session.query("ROLLBACK TO s")
        try session.query("COMMIT")
        try other.query("BEGIN; INSERT INTO shop.parcels VALUES (61, 1)")
        #expect(try fill(other, "rolling back").error.sqlstate == "57014")
        try other.query("ROLLBACK")
        let kept = try shop.admin.query(
          "SELECT count(*) FILTER (WHERE id = 60), count(*) FROM shop.parcels WHERE id IN (60, 61)")
        #expect(kept.rows == [["1", "1"]])
      }
      #expect(try shop.record(of: "(60, 1)")["outcome"] == "committed")
      #expect(try shop.record(of: "(61, 1)")["outcome"] == "rolled_back")
      try shop.expectUnbrokenChain()
    }

    @Test func refusingStatementSaysWhatToDo() throws {
      try overflow("refuse")
      var succeeded = 0
      let session = try shop.connect("shop_owner")
      try withoutWriter {
        let filled = try fill(session, "refused")
        succeeded = filled.succeeded
        #expect(
          filled.error.sqlstate == "53400" && filled.error.hint.contains("warden.status()"), "\(filled.error.text)")
        // The DBA gets in, sees what is wrong, and may break glass.
        let dba = try shop.connect()
        #expect(
          try dba.query("SELECT count(*) FROM warden.status() WHERE NOT healthy AND name = 'fullest ring'").value == "1"
        )
        try dba.query("SELECT warden.break_glass('the audit''s writer is stopped')")
        try dba.query("DROP VIEW shop.large_orders")
        #expect(session.isOpen)
      }
      try waitUntil("there is room again") { session.error("SELECT 'room'") == nil }
      try expectFilled("refused", succeeded)
    }

    /// Sessions that came and went have left every ring to a writer that does not write.
    @Test func noRingIsFree() throws {
      try overflow("refuse")
      try withoutWriter {
        // More than a quarter of a ring each: what is less is shared.
        let statement = "SELECT 'in passing', length('\(String(repeating: "x", count: 10_000))')"
        var refusal: ServerError?
        for _ in 0..<100 where refusal == nil {
          do {
            let session = try shop.connect("shop_owner")
            for _ in 0..<8 where refusal == nil { refusal = session.error(statement) }
          } catch let error as ServerError {
            refusal = error
          }
        }
        #expect(
          refusal?.sqlstate == "53400" && refusal?.hint.contains("superusers") == true, "\(String(describing: refusal))"
        )
        let dba = try shop.connect()
        #expect(try dba.query("SELECT count(*) FROM warden.status() WHERE name = 'backlog'").value == "1")
        try dba.query("SELECT warden.break_glass('no ring is free')")
      }
      try waitUntil("rings are free again") { (try? shop.connect("shop_owner").error("SELECT 'room'") == nil) == true }
      try shop.expectUnbrokenChain()
    }

    @Test func readOnlyDatabaseIsRecorded() throws {
      try shop.cluster.configure(["default_transaction_read_only = on"])
      try shop.admin.query("SELECT pg_reload_conf()")
      try waitUntil("the setting is in force") {
        try shop.connect().query("SHOW default_transaction_read_only").value == "on"
      }
      let session = try shop.connect("shop_owner")
      #expect(session.error("INSERT INTO shop.parcels VALUES (64, 1)")?.sqlstate == "25006")
      try session.query("SELECT 'read only'")
      // A writer that starts now writes as well.
      try shop.cluster.restart(.immediate)
      try shop.reconnectPatiently()
      #expect(try shop.record(of: "(64, 1)")["outcome"] == "failed")
      #expect(try shop.record(of: "read only")["outcome"] == "committed")
      try shop.expectUnbrokenChain()
      try shop.cluster.configure(["default_transaction_read_only = off"])
      try shop.cluster.restart()
      try shop.reconnectPatiently()
    }

    @Test func noWorkerIsFree() throws {
      _ = try shop.audit()
      try shop.cluster.configure(["max_worker_processes = 1", "max_logical_replication_workers = 0"])
      try shop.cluster.restart()
      try shop.reconnectPatiently()
      try shop.connect("shop_owner").query("SELECT 'without a writer'")
      let error = shop.admin.error("SELECT warden.flush('300 milliseconds')")
      #expect(error?.sqlstate == "57014" && error?.hint.contains("warden.status()") == true)
      try waitUntil("the log tells") { shop.cluster.log().contains("Raise max_worker_processes") }
      let status = try shop.admin.query("SELECT value FROM warden.status() WHERE name = 'audit writer' AND NOT healthy")
      #expect(status.value?.contains("max_worker_processes") == true, "\(status.text)")
      try shop.cluster.configure(["max_worker_processes = 8"])
      try shop.cluster.restart()
      try shop.reconnectPatiently()
      #expect(try shop.record(of: "without a writer")["outcome"] == "committed")
      try shop.expectUnbrokenChain()
    }

    /// What locks the audit would hold up everybody.
    @Test(arguments: [
      "LOCK TABLE warden.audit_record IN ACCESS EXCLUSIVE MODE", "LOCK TABLE warden.audit_chain IN SHARE MODE",
      "LOCK TABLE warden.audit_log", "LOCK TABLE lab.looks_at_the_audit", "LOCK TABLE lab.looks_further",
      "SELECT * FROM warden.audit_chain FOR UPDATE", "SELECT * FROM warden.audit_record FOR SHARE",
    ]) func auditIsNotLocked(_ sql: String) throws {
      try shop.admin.query(
        """
        CREATE VIEW lab.looks_at_the_audit AS SELECT * FROM warden.audit_record;
        CREATE VIEW lab.looks_further AS SELECT seq FROM lab.looks_at_the_audit
        """)
      for breakingGlass in [false, true] {
        let superuser = try shop.connect()
        if breakingGlass { try superuser.query("SELECT warden.break_glass('a lock')") }
        try superuser.query("BEGIN")
        try shop.expectRefusal(of: sql, by: "self-protection", on: superuser, thenRollBack: true)
      }
    }

    /// What a backup does.
    @Test func readersLocksAreHarmless() throws {
      let superuser = try shop.connect()
      try superuser.query("BEGIN; LOCK TABLE warden.audit_record, warden.audit_chain IN ACCESS SHARE MODE")
      try shop.connect("shop_owner").query("SELECT 'beside a backup'")
      #expect(try shop.record(of: "beside a backup")["outcome"] == "committed")
      try superuser.query("COMMIT")
    }
  }
}
