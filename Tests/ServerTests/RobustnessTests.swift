import Foundation
import Testing

extension ServerTests {
  /// Whatever goes wrong in a statement, the session and the server are usable afterwards.
  @Suite struct RobustnessTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "robust")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }

    /// The same session still reads through masks, is guarded and recorded; no process of the server has died.
    private func expectUsable(_ analyst: Connection) throws {
      #expect(try analyst.query("SELECT email FROM shop.customers WHERE id = 1").value == Shop.maskedEmail)
      try shop.expectRefusal(of: "DELETE FROM shop.orders", by: "whole-table-dml", on: analyst)
      let log = shop.cluster.log()
      #expect(!log.contains("was terminated by signal") && !log.contains("PANIC:"))
      let depth = try shop.admin.query("SELECT healthy FROM warden.status() WHERE name = 'swift depth'")
      #expect(depth.value != "f", "a jump has crossed a Swift frame")
    }

    static let errors = [
      ("SELECT email, 1 / (id - 1) FROM shop.customers", "22012"),
      ("SELECT email::int FROM shop.customers", "22P02"),
      ("SELECT nothing FROM shop.customers", "42703"),
      ("SELEC email", "42601"),
      ("SELECT * FROM shop.nothing", "42P01"),
      ("COPY shop.parcels FROM STDIN", "57014"),
      ("DO $$BEGIN DELETE FROM shop.orders; END$$", "42501"),
      ("DO $$BEGIN PERFORM email FROM shop.customers; RAISE 'x'; END$$", "P0001"),
      // More than a gigabyte: refused by the allocator.
      ("SELECT repeat(email, 100000000) FROM shop.customers", "54000"),
    ]

    @Test(arguments: errors) func errorLeavesTheSessionUsable(_ sql: String, _ sqlstate: String) throws {
      let analyst = try shop.connect("analyst")
      for _ in 1...3 { #expect(analyst.error(sql)?.sqlstate == sqlstate, "\(sql)") }
      try expectUsable(analyst)
    }

    @Test func endlessRecursionIsAnError() throws {
      let analyst = try shop.connect("analyst")
      try analyst.query(
        """
        CREATE FUNCTION lab.f(i int) RETURNS text LANGUAGE plpgsql AS
        'BEGIN PERFORM email FROM shop.customers; RETURN lab.f(i + 1); END'
        """)
      #expect(analyst.error("SELECT lab.f(1)")?.sqlstate == "54001")
      try expectUsable(analyst)
    }

    /// What one definition collects is not there any more for the next.
    @Test func guardsThatNameRolesOneAfterAnother() throws {
      let policies = try shop.connect()
      let roles = "'{role:analyst,role:clerk}'"
      let define = "SELECT warden.guard('roles ' || i, 'block', '{delete}', '{shop.parcels}', \(roles))"
      for i in 1...5 { try policies.query("\(define) FROM (VALUES (\(i))) v (i)") }
      let exempt = "SELECT warden.exempt('{role:auditor,role:clerk}')"
      try policies.query("BEGIN; \(define) FROM (VALUES (6)) v (i); \(exempt); COMMIT")
      try policies.query("\(define) FROM generate_series(7, 50) i")
      try shop.expectRefusal(
        of: "DELETE FROM shop.parcels WHERE id = 1", by: "roles 1", on: try shop.connect("analyst"))
      try expectUsable(try shop.connect("analyst"))
    }

    @Test func viewsInACircleCanBeLocked() throws {
      let superuser = try shop.connect()
      try superuser.query(
        """
        CREATE VIEW lab.a AS SELECT 1 AS x; CREATE VIEW lab.b AS SELECT * FROM lab.a;
        CREATE OR REPLACE VIEW lab.a AS SELECT * FROM lab.b; CREATE VIEW lab.c AS SELECT * FROM lab.a
        """)
      for view in ["a", "b", "c"] { try superuser.query("BEGIN; LOCK TABLE lab.\(view); ROLLBACK") }
    }

    @Test func savepointsByTheThousand() throws {
      let analyst = try shop.connect("analyst")
      try analyst.query(
        """
        DO $$BEGIN FOR i IN 1..1000 LOOP
          BEGIN
            IF i % 2 = 0 THEN DELETE FROM shop.orders; ELSE PERFORM email::int FROM shop.customers; END IF;
          EXCEPTION WHEN OTHERS THEN NULL; END;
        END LOOP; END$$
        """)
      try expectUsable(analyst)
      #expect(try shop.audit(where: "guard = 'whole-table-dml' AND parent_no IS NOT NULL").count == 500)
    }

    @Test func cancelledStatementLeavesTheSessionUsable() throws {
      let analyst = try shop.connect("analyst")
      for sql in ["SELECT pg_sleep(600), email FROM shop.customers", "DO $$BEGIN PERFORM pg_sleep(600); END$$"] {
        try analyst.send(sql)
        try waitUntil("it sleeps") {
          try shop.admin.query("SELECT wait_event FROM pg_stat_activity WHERE pid = $1::int", "\(analyst.processID)")
            .value == "PgSleep"
        }
        analyst.cancel()
        #expect(throws: ServerError.self) { try analyst.receive() }
        try expectUsable(analyst)
      }
      #expect(try shop.audit(where: "outcome = 'failed' AND sqlstate = '57014' AND parent_no IS NULL").count == 2)
    }

    @Test func timeoutLeavesTheSessionUsable() throws {
      let analyst = try shop.connect("analyst")
      try analyst.query("SET statement_timeout = '50ms'")
      #expect(analyst.error("SELECT pg_sleep(600), email FROM shop.customers")?.sqlstate == "57014")
      try analyst.query("RESET statement_timeout")
      try expectUsable(analyst)
    }

    @Test func outOfMemoryLeavesTheSessionUsable() throws {
      let analyst = try shop.connect("analyst")
      try analyst.query("SELECT email FROM shop.customers")
      // Address space as it is, and no more than 200 MB on top.
      let size = try String(contentsOfFile: "/proc/\(analyst.processID)/statm", encoding: .utf8)
      let pages = try #require(Int(size.prefix { $0 != " " }))
      let limit = pages * Int(getpagesize()) + 200_000_000
      try ServerUser.run(["prlimit", "--pid", "\(analyst.processID)", "--as=\(limit):"])
      for _ in 1...3 {
        #expect(analyst.error("SELECT length(repeat(email, 50000000)) FROM shop.customers")?.sqlstate == "53200")
      }
      try expectUsable(analyst)
    }

    @Test func manyShortConnections() throws {
      for _ in 1...100 { try shop.connect("analyst", application: "short").query("SELECT 1") }
      #expect(try shop.audit(where: "application_name = 'short' AND event = 'statement'").count == 100)
      try expectUsable(try shop.connect("analyst"))
      try shop.expectUnbrokenChain()
    }

    @Test func terminatedSessionHurtsNobody() throws {
      let bystander = try shop.connect("analyst")
      let victim = try shop.connect("analyst")
      try victim.send("SELECT pg_sleep(600), email FROM shop.customers")
      try shop.admin.query("SELECT pg_terminate_backend($1::int)", "\(victim.processID)")
      #expect(throws: ServerError.self) { try victim.receive() }
      try expectUsable(bystander)
    }
  }
}
