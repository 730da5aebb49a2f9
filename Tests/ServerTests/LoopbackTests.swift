import Foundation
import Testing

extension ServerTests {
  /// Sessions that come from inside the server itself, by whatever client library and road.
  @Suite struct LoopbackTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      let cluster = try Cluster([
        "shared_preload_libraries = 'pg_warden'", "listen_addresses = '\(address)'",
      ])
      let shop = try Shop(cluster, database: "loopback")
      try shop.connect().query(setup(cluster))
      return shop
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    /// One of this machine's own that no other server listens on, so that ports need not differ.
    private static let address = "127.83.\(1 + getpid() / 250 % 250).\(1 + getpid() % 250)"

    private static func setup(_ cluster: Cluster) -> String {
      """
      SELECT warden.break_glass('what the tests need');
      CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw;
      CREATE SERVER tcp FOREIGN DATA WRAPPER postgres_fdw
        OPTIONS (host '\(address)', dbname 'loopback');
      CREATE SERVER unix FOREIGN DATA WRAPPER postgres_fdw
        OPTIONS (host '\(cluster.socketDirectory)', dbname 'loopback');
      CREATE USER MAPPING FOR postgres SERVER tcp OPTIONS (user 'postgres');
      CREATE USER MAPPING FOR postgres SERVER unix OPTIONS (user 'postgres');
      CREATE SCHEMA there;
      CREATE FOREIGN TABLE there.by_tcp (id int) SERVER tcp OPTIONS (schema_name 'shop', table_name 'parcels');
      CREATE FOREIGN TABLE there.by_unix (id int) SERVER unix OPTIONS (schema_name 'shop', table_name 'parcels');
      SELECT warden.break_glass_end();
      """
    }

    private func link(_ host: String, role: String = "postgres", database: String = "loopback") -> String {
      "'host=\(host) dbname=\(database) user=\(role)'"
    }

    private func expectRefusal(of sql: String, on connection: Connection) throws {
      let error = connection.error(sql)
      #expect(error?.detail.contains("Guard \"server-escape\"") == true, "\(sql): \(error?.text ?? "no error")")
      let records = try shop.audit(where: "event = 'auth_failed' AND guard = 'server-escape' AND decision = 'blocked'")
      #expect(records.contains { $0["sqlstate"] == "42501" && $0["outcome"] == "blocked" }, "\(sql)")
    }

    @Test(arguments: ["unix", "tcp"]) func dblinkIsRefused(_ road: String) throws {
      let host = road == "tcp" ? Self.address : shop.cluster.socketDirectory
      try expectRefusal(of: "SELECT dblink_connect('c', \(link(host)))", on: try shop.connect())
      try expectRefusal(
        of: "SELECT * FROM dblink(\(link(host, role: "analyst")), 'SELECT 1') t (a int)", on: try shop.connect())
    }

    @Test(arguments: [
      "SELECT * FROM there.by_tcp", "SELECT * FROM there.by_unix", "INSERT INTO there.by_tcp VALUES (7)",
      "ANALYZE there.by_unix", "TRUNCATE there.by_tcp", "IMPORT FOREIGN SCHEMA shop FROM SERVER tcp INTO there",
    ]) func foreignTableIsRefused(_ sql: String) throws {
      try shop.connect().query("SELECT warden.guard('may', 'allow', '{truncate}', '{there.*}', priority => 1)")
      try expectRefusal(of: sql, on: try shop.connect())
    }

    /// In a database that nobody watches, nobody notes what a session runs.
    @Test func sessionOfAnUngovernedDatabaseIsRefused() throws {
      let elsewhere = try shop.cluster.connect()
      try elsewhere.query("CREATE EXTENSION IF NOT EXISTS dblink")
      try expectRefusal(of: "SELECT dblink_connect('c', \(link(Self.address)))", on: elsewhere)
    }

    @Test func leaveForARoleOpensTheRoad() throws {
      try shop.connect().query(
        "SELECT warden.guard('link', 'allow', '{server_file}', '{*}', '{role:analyst}', priority => 1)")
      let sql = "SELECT a FROM dblink(\(link(Self.address, role: "analyst")), 'SELECT 7') t (a int)"
      #expect(try shop.connect().query(sql).value == "7")
      try expectRefusal(of: sql.replacing("user=analyst", with: "user=clerk"), on: try shop.connect())
    }

    @Test func clientsOfThisMachineAreLetBy() throws {
      let insider = try shop.connect()
      _ = insider.error("SELECT dblink_connect('c', \(link(Self.address)))")
      let client = try shop.cluster.connect(database: "loopback", more: ["host": Self.address])
      #expect(try client.query("SELECT 1").value == "1")
      #expect(try shop.connect().query("SELECT 1").value == "1")
    }

    @Test func otherDatabasesMayBeLinked() throws {
      let sql = "SELECT a FROM dblink(\(link(Self.address, database: "postgres")), 'SELECT 7') t (a int)"
      #expect(try shop.connect().query(sql).value == "7")
    }
  }
}
