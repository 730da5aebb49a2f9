import Foundation
import Testing

/// All that needs a server. One suite after another: clusters share two cores, and tests share clusters.
@Suite(.serialized) struct ServerTests {}

extension ServerTests {
  /// The tests' own tools: a tool that sees nothing would let every other test pass.
  @Suite struct HarnessTests {
    let cluster: Cluster

    init() throws { cluster = try Cluster([]) }

    @Test func connectionReadsRowsErrorsAndCopies() throws {
      let connection = try cluster.connect()
      let rows = try connection.query("SELECT 1 AS a, NULL AS b UNION ALL SELECT 2, 'x' ORDER BY 1")
      #expect(rows.rows == [["1", nil], ["2", "x"]])
      #expect(rows.records == [["a": "1"], ["a": "2", "b": "x"]])
      #expect(try connection.query("SELECT $1::int + $2::int", "40", "2").value == "42")
      #expect(try connection.query("COPY (SELECT 'out') TO STDOUT").copied == "out\n")

      try connection.query("CREATE TABLE t (a text)")
      try connection.copyIn("COPY t FROM STDIN", "in\n")
      #expect(try connection.query("TABLE t").value == "in")
      #expect(try connection.query("UPDATE t SET a = 'x'").affected == 1)

      let error = connection.error(
        "DO $$BEGIN RAISE SQLSTATE 'WD001' USING message = 'm', detail = 'd', hint = 'h'; END$$")
      #expect(error?.sqlstate == "WD001" && error?.message == "m" && error?.detail == "d" && error?.hint == "h")
      #expect(connection.error("SELECT 1") == nil)
    }

    @Test func statementIsCancelled() throws {
      let connection = try cluster.connect()
      try connection.prepare("answer", "SELECT $1::text")
      try connection.send("SELECT pg_sleep(600)")
      connection.cancel()
      #expect(throws: ServerError.self) { try connection.receive() }
      #expect(try connection.execute("answer", "still there").value == "still there")
    }

    @Test func serverComesBackAfterKillAndRestart() throws {
      try cluster.connect().query("CREATE TABLE kept AS SELECT 1 AS a")
      let victim = try cluster.connect()
      try victim.send("SELECT pg_sleep(600)")
      try cluster.killBackend(victim.processID)
      #expect(throws: ServerError.self) { try victim.receive() }
      #expect(try cluster.connect().query("TABLE kept").value == "1")
      try cluster.configure(["work_mem = '5MB'"])
      try cluster.restart(.immediate)
      #expect(try cluster.connect().query("SHOW work_mem").value == "5MB")
      #expect(try cluster.connect().query("TABLE kept").value == "1")
    }

    @Test func nothingStaysBehind() throws {
      let postmaster = try cluster.connect().query("SELECT pg_read_file('postmaster.pid')").value ?? ""
      let process = try #require(Int32(postmaster.prefix { $0 != "\n" }))
      cluster.remove()
      // The process may be left as a zombie where nobody collects orphans; that has no executable any more.
      #expect(!FileManager.default.fileExists(atPath: "/proc/\(process)/exe"))
      #expect(!FileManager.default.fileExists(atPath: cluster.socketDirectory))
    }
  }
}
