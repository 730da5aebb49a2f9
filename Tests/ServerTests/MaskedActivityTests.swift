import Testing

extension ServerTests {
  /// What others do and what lies below every query: statements of other sessions, pages, the log and its decoding.
  @Suite struct MaskedActivityTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "masked_activity")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
      try shop.admin.query(
        """
        DO $$BEGIN
          IF to_regrole('watcher') IS NULL THEN CREATE ROLE watcher LOGIN REPLICATION IN ROLE pg_monitor; END IF;
        END$$;
        GRANT ALL ON ALL TABLES IN SCHEMA shop TO watcher
        """)
    }
  }
}

// MARK: - Statements of others

extension ServerTests.MaskedActivityTests {
  /// `setup` is run by a superuser.
  static let roads = [
    Scenario("pg_stat_activity", "SELECT query FROM pg_stat_activity"),
    Scenario("whole row", "SELECT a FROM pg_stat_activity a"),
    Scenario("function", "SELECT * FROM pg_stat_get_activity(NULL)"),
    Scenario("function, whole row", "SELECT a::text FROM pg_stat_get_activity(NULL) a"),
    Scenario("function, renamed", "SELECT * FROM pg_stat_get_activity(NULL) AS t (a, b, c, d, e, f, g, h)"),
    Scenario("with ordinality", "SELECT * FROM pg_stat_get_activity(NULL) WITH ORDINALITY"),
    Scenario("LATERAL", "SELECT t.query FROM pg_stat_activity a, pg_stat_get_activity(a.pid) t"),
    Scenario("COPY", "COPY (SELECT query FROM pg_stat_activity) TO STDOUT"),
    Scenario("cursor", "DECLARE c CURSOR FOR SELECT query FROM pg_stat_activity; FETCH ALL c"),
    Scenario("PREPARE", "PREPARE p AS SELECT query FROM pg_stat_activity; EXECUTE p"),
    Scenario("aggregate", "SELECT string_agg(query, ' ') FROM pg_stat_activity"),
    Scenario(
      "condition",
      "SELECT 'RAW' || 'MARK' FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%RAW' || 'MARK%'"),
    Scenario(
      "by number", "SELECT pg_stat_get_backend_activity(i) FROM pg_stat_get_backend_idset() i"),
    Scenario(
      "view", setup: "CREATE VIEW lab.v AS SELECT query FROM pg_stat_activity; GRANT SELECT ON lab.v TO PUBLIC",
      "TABLE lab.v"),
    Scenario(
      "SECURITY DEFINER",
      setup: """
        CREATE FUNCTION lab.f() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT query FROM pg_stat_activity'
        """, "SELECT lab.f()"),
    Scenario(
      "SECURITY DEFINER in plpgsql",
      setup: """
        CREATE FUNCTION lab.f() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS
        'BEGIN RETURN QUERY EXECUTE ''SELECT query FROM pg_stat_get_activity(NULL)''; END'
        """, "SELECT lab.f()"),
  ]

  /// Where the texts of others cannot be left out the statement is refused.
  static let refusedRoads = [
    Scenario("select list", "SELECT pg_stat_get_activity(NULL)"),
    Scenario("field in the select list", "SELECT (pg_stat_get_activity(NULL)).query"),
    Scenario("ROWS FROM", "SELECT * FROM ROWS FROM (pg_stat_get_activity(NULL), generate_series(1, 2))"),
    Scenario(
      "function that is put in the place of its call",
      setup: """
        CREATE FUNCTION lab.f(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT pg_stat_get_backend_activity($1)'
        """, "SELECT lab.f(i) FROM pg_stat_get_backend_idset() i"),
  ]

  @Test(arguments: roads + refusedRoads) func statementsOfOthersAreNotShown(_ road: Scenario) throws {
    let other = try shop.connect("shop_owner")
    try other.query("SELECT 'seen by all: \(Shop.mark)'")
    try shop.admin.query(road.setup)
    func seen(_ role: String) throws -> String {
      let session = try shop.connect(role)
      try session.query("BEGIN")
      return try session.query(road.sql).text
    }
    #expect(try seen("postgres").contains(Shop.mark))
    let isRefused = Self.refusedRoads.contains { $0.testDescription == road.testDescription }
    if isRefused {
      #expect(throws: ServerError.self) { try seen("watcher") }
      #expect(try shop.connect("watcher").error(road.sql)?.sqlstate == "42501")
    } else {
      #expect(try !seen("watcher").contains(Shop.mark))
    }
    try shop.admin.query("SELECT warden.exempt('{role:watcher}')")
    #expect(try seen("watcher").contains(Shop.mark))
    withExtendedLifetime(other) {}
  }

  @Test func ownStatementsAreShown() throws {
    let watcher = try shop.connect("watcher")
    let another = try shop.connect("watcher")
    try another.query("SELECT 'mine'")
    let seen = try watcher.query(
      """
      SELECT query FROM pg_stat_activity WHERE pid IN (pg_backend_pid(), \(another.processID))
       ORDER BY pid = pg_backend_pid()
      """)
    #expect(seen.rows.first == ["SELECT 'mine'"])
    #expect(seen.rows.last?.first??.contains("pg_backend_pid") == true)
    let hidden = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query = '<not shown to sessions that see masks>'"
    #expect(try watcher.query(hidden).value == "t")
  }

  @Test func planOfOneWhoSeesAllShowsNothingMore() throws {
    let other = try shop.connect("shop_owner")
    try other.query("SELECT '\(Shop.mark)'")
    let session = try shop.connect()
    for sql in ["SELECT query FROM pg_stat_activity", "SELECT (pg_stat_get_activity(NULL)).query"] {
      try session.prepare(sql, sql)
      #expect(try session.execute(sql).text.contains(Shop.mark))
      try session.query("SET ROLE watcher")
      #expect((try? session.execute(sql).text.contains(Shop.mark)) != true)
      try session.query("RESET ROLE")
      #expect(try session.execute(sql).text.contains(Shop.mark))
    }
    withExtendedLifetime(other) {}
  }
}

// MARK: - Pages, the log, replication

extension ServerTests.MaskedActivityTests {
  @Test func pagesAreNotShown() throws {
    try shop.admin.query(
      """
      SELECT warden.break_glass('test'); DROP EXTENSION IF EXISTS pageinspect; CREATE EXTENSION pageinspect SCHEMA lab;
      CREATE FUNCTION lab.page() RETURNS text LANGUAGE sql SECURITY DEFINER
        AS 'SELECT encode(lab.get_raw_page(''shop.customers'', 0), ''escape'')';
      SELECT warden.break_glass_end()
      """)
    let error = try shop.connect("analyst").error("SELECT lab.page()")
    #expect(error?.sqlstate == "42501" && error?.message.contains("get_raw_page is not open") == true)
  }

  static let decoding = [
    "SELECT pg_create_logical_replication_slot('masked', 'pgoutput')",
    "SELECT * FROM pg_logical_slot_peek_changes('masked', NULL, NULL)",
    "SELECT pg_logical_slot_get_binary_changes('masked', NULL, NULL)",
    "SELECT pg_copy_logical_replication_slot('masked', 'other')",
  ]

  @Test(arguments: decoding) func changesAreNotDecoded(_ sql: String) throws {
    let error = try shop.connect("watcher").error(sql)
    #expect(error?.sqlstate == "42501" && error?.message.contains("is not open") == true, "\(error?.text ?? "none")")
    #expect(try shop.admin.query("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'masked'").value == "0")
  }

  @Test func logicalReplicationIsRefused() throws {
    func replicate(_ role: String) throws -> String? {
      try shop.cluster.connect(
        role: role, database: shop.database, application: "replication", more: ["replication": "database"]
      ).query("IDENTIFY_SYSTEM").rows.first?.last ?? nil
    }
    #expect {
      try replicate("watcher")
    } throws: { error in
      (error as? ServerError)?.message.contains("logical replication is not open to sessions that see masked values")
        == true
    }
    #expect(
      try shop.audit(where: "event = 'auth_failed' AND sqlstate = '42501' AND session_user_name = 'watcher'").count == 1
    )
    #expect(try replicate("postgres") == shop.database)
    try shop.admin.query("SELECT warden.exempt('{role:watcher}')")
    #expect(try replicate("watcher") == shop.database)
  }
}
