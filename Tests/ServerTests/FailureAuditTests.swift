import Foundation
import Testing

extension ServerTests {
  /// Statements that fail, wherever: each has one record, with its SQLSTATE.
  @Suite struct FailureAuditTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "failures")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }
  }
}

extension ServerTests.FailureAuditTests {
  /// Text, number of its parent's record in the list (from 1), SQLSTATE of the records; in order of their start.
  private func failures() throws -> [String] {
    try shop.audit(where: "event = 'statement' AND outcome = 'failed'").map {
      "\($0["sqlstate"] ?? "") \($0["statement"] ?? "")"
    }
  }

  static let early = [
    ("SELEC 1", "42601"), ("SELECT nosuch FROM shop.parcels", "42703"), ("SELECT * FROM shop.nosuch", "42P01"),
    ("SELECT 'x'::int", "22P02"), ("SELECT 1 / 0", "22012"), ("SELECT $1", "42P02"),
    ("EXPLAIN SELECT 1 / 0", "22012"), ("CREATE TABLE shop.never AS SELECT 1 / 0", "22012"),
    ("EXECUTE nosuch", "26000"), ("SELECT shop.nosuch()", "42883"), ("FETCH nosuch", "34000"),
    ("SET nosuch = 1", "42704"), ("SELECT sum(sum(1))", "42803"),
  ]

  @Test(arguments: early) func earlyFailureIsRecordedOnce(_ sql: String, _ sqlstate: String) throws {
    // As the first statement of its session, too.
    #expect(try shop.connect("shop_owner").error(sql)?.sqlstate == sqlstate)
    let records = try shop.audit()
    #expect(records.count == 1, "\(records)")
    #expect(records.first?["statement"] == sql && records.first?["sqlstate"] == sqlstate)
    #expect(records.first?["outcome"] == "failed" && records.first?["error"]?.isEmpty == false)
    #expect(records.first?["session_user_name"] == "shop_owner")
  }

  /// A connection for logical replication runs SQL as any other does: it is refused the same, and recorded the same.
  @Test func replicationConnectionIsGoverned() throws {
    let session = try Connection([
      "host": shop.cluster.socketDirectory, "user": "postgres", "dbname": shop.database, "replication": "database",
    ])
    #expect(session.error("DELETE FROM shop.orders")?.sqlstate == "42501")
    #expect(session.error("SELEC 1")?.sqlstate == "42601")
    #expect(session.error("DROP_REPLICATION_SLOT nosuch")?.sqlstate == "42704")
    #expect(try failures() == ["42601 SELEC 1", "42704 DROP_REPLICATION_SLOT nosuch"])
    #expect(try shop.audit(where: "outcome = 'blocked' AND guard = 'whole-table-dml'").count == 1)
  }

  @Test func deniedReadIsRecordedOnce() throws {
    #expect(try shop.connect("clerk").error("SELECT * FROM shop.orders")?.sqlstate == "42501")
    #expect(try failures() == ["42501 SELECT * FROM shop.orders"])
  }

  @Test func statementsOfAnAbortedTransactionAreRecorded() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("BEGIN")
    for sql in ["SELEC 1", "SELECT 2", "SELECT 3"] { #expect(owner.error(sql) != nil) }
    try owner.query("ROLLBACK")
    #expect(try failures() == ["42601 SELEC 1", "25P02 SELECT 2", "25P02 SELECT 3"])
  }

  @Test func failureIsOfItsStatementInTheMessage() throws {
    let owner = try shop.connect("shop_owner")
    #expect(owner.error("SELECT 101; SELECT nosuch; SELECT 103")?.sqlstate == "42703")
    // Nothing behind the statement that failed was looked at by the server.
    #expect(try failures() == ["42703 SELECT nosuch; SELECT 103"])
    #expect(try shop.record(of: "SELECT 101")["outcome"] == "rolled_back")
  }

  @Test func errorsThatAreSwallowedAreRecorded() throws {
    try shop.connect("shop_owner").query(
      """
      DO $$BEGIN FOR i IN 1..3 LOOP
        BEGIN EXECUTE 'SELEC ' || i; EXCEPTION WHEN OTHERS THEN NULL; END;
      END LOOP;
      BEGIN EXECUTE 'SELECT 1 / 0'; EXCEPTION WHEN OTHERS THEN NULL; END; END$$
      """)
    #expect(try failures() == ["42601 SELEC 1", "42601 SELEC 2", "42601 SELEC 3", "22012 SELECT 1 / 0"])
    let outer = try #require(try shop.audit(where: "command = 'DO'").first)
    #expect(outer["outcome"] == "committed")
    for inner in try shop.audit(where: "outcome = 'failed'") { #expect(inner["parent_no"] == outer["statement_no"]) }
  }

  @Test func errorThatPassesThroughIsTheInnersAndTheOuters() throws {
    let owner = try shop.connect("shop_owner")
    #expect(owner.error("DO $$BEGIN EXECUTE 'SELECT nosuch'; END$$")?.sqlstate == "42703")
    #expect(try failures() == ["42703 DO $$BEGIN EXECUTE 'SELECT nosuch'; END$$", "42703 SELECT nosuch"])
  }

  @Test func protocolMessagesThatFailAreRecorded() throws {
    let owner = try shop.connect("shop_owner")
    #expect(throws: ServerError.self) { try owner.prepare("a", "SELECT nosuch FROM shop.parcels") }
    try owner.prepare("b", "SELECT 10 / $1::int")
    #expect(throws: ServerError.self) { try owner.execute("b", "0") }
    #expect(throws: ServerError.self) { try owner.execute("b", "no number") }
    #expect(throws: ServerError.self) { try owner.execute("b", "1", "2") }
    let states = try failures()
    #expect(
      states == [
        "42703 SELECT nosuch FROM shop.parcels", "22012 SELECT 10 / $1::int", "22P02 SELECT 10 / $1::int",
        "08P01 SELECT 10 / $1::int",
      ])
  }

  @Test func deferredConstraintFailsTheStatementThatEndsTheTransaction() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("CREATE TABLE shop.deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    #expect(owner.error("INSERT INTO shop.deferred VALUES (1), (1)")?.sqlstate == "23505")
    #expect(owner.error("BEGIN; INSERT INTO shop.deferred VALUES (2), (2); COMMIT; SELECT 1")?.sqlstate == "23505")
    #expect(try failures() == ["23505 INSERT INTO shop.deferred VALUES (1), (1)", "23505 COMMIT"])
    #expect(try shop.record(of: "(2), (2)")["outcome"] == "rolled_back")
  }

  @Test func quietServerLogHidesNothing() throws {
    let superuser = try shop.connect()
    try superuser.query("SET log_min_messages = panic")
    #expect(superuser.error("SELEC 1") != nil)
    #expect(superuser.error("SELECT 1 / 0") != nil)
    #expect(try failures() == ["42601 SELEC 1", "22012 SELECT 1 / 0"])
  }

  @Test func roleOfTheFailureIsTheRoleThatIsSet() throws {
    let session = try shop.connect("copilot")
    try session.query("SET ROLE analyst")
    #expect(session.error("SELEC 1") != nil)
    let record = try #require(try shop.audit(where: "outcome = 'failed'").first)
    #expect(record["role_name"] == "analyst" && record["session_user_name"] == "copilot")
  }

  @Test func timeoutFailsTheStatement() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("SET statement_timeout = '50ms'")
    #expect(owner.error("SELECT pg_sleep(60)")?.sqlstate == "57014")
    #expect(try failures() == ["57014 SELECT pg_sleep(60)"])
  }

  @Test func terminatedSessionFailsTheStatementThatRan() throws {
    let victim = try shop.connect("shop_owner")
    try victim.query("BEGIN; INSERT INTO shop.parcels VALUES (70, 1)")
    try victim.send("DO $$BEGIN PERFORM pg_sleep(60); END$$")
    try waitUntil("the victim sleeps") {
      try shop.admin.query(
        "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", "\(victim.processID)"
      ).value != nil
    }
    try shop.admin.query("SELECT pg_terminate_backend($1)", "\(victim.processID)")
    #expect(throws: ServerError.self) { try victim.receive() }
    try waitUntil("the victim is gone") {
      try shop.admin.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1", "\(victim.processID)").value == nil
    }
    #expect(
      try failures() == ["57P01 DO $$BEGIN PERFORM pg_sleep(60); END$$", "57P01 SELECT pg_sleep(60)"])
    #expect(try shop.record(of: "(70, 1)")["outcome"] == "rolled_back")
  }

  @Test func errorIsCutBetweenCharacters() throws {
    let owner = try shop.connect("shop_owner")
    #expect(owner.error("DO $$BEGIN RAISE EXCEPTION USING MESSAGE = 'x' || repeat('é', 200); END$$") != nil)
    let error = try #require(try shop.audit(where: "outcome = 'failed'").first?["error"])
    #expect(error == "x" + String(repeating: "é", count: 73))
  }

  @Test func passwordOfAStatementThatDoesNotParseIsNotStored() throws {
    let password = "s3cr3t" + "-early"
    #expect(try shop.connect().error("CREATE ROLE r PASSWORD '\(password)' NONSENSE") != nil)
    let record = try #require(try shop.audit(where: "outcome = 'failed'").first)
    #expect(record["statement"]?.contains("CREATE ROLE") == true)
    #expect(!record.values.contains { $0.contains(password) })
  }

  /// More than a ring holds: swallowed failures make room for themselves, none is lost.
  @Test func manyFailuresAreAllRecorded() throws {
    try shop.connect("shop_owner").query(
      """
      DO $$BEGIN FOR i IN 1..8000 LOOP
        BEGIN EXECUTE 'SELEC ' || i || repeat(' ', 300); EXCEPTION WHEN OTHERS THEN NULL; END;
      END LOOP; END$$
      """)
    #expect(try shop.audit(where: "outcome = 'failed'").count == 8000)
    try shop.expectUnbrokenChain()
  }
}
