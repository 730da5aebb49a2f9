import Testing

extension ServerTests {
  /// What ANALYZE keeps of masked columns: neither catalogs nor the planner's estimates tell it to whom sees masks.
  @Suite struct MaskedStatisticsTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "masked_statistics")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    /// Two tables of the same size: in `few` one address is in every row, in `many` each row has one of its own.
    private func fill() throws {
      try shop.connect("shop_owner").query(
        """
        CREATE TABLE shop.few AS SELECT i AS id, 'sameRAWMARK@raw.example'::text AS email, i % 5 AS city
          FROM generate_series(1, 90) i;
        CREATE TABLE shop.many AS SELECT i AS id, 'a' || i || 'RAWMARK'::text AS email, i % 5 AS city
          FROM generate_series(1, 90) i;
        CREATE INDEX ON shop.few (lower(email)); CREATE INDEX ON shop.many (lower(email));
        CREATE STATISTICS shop.few_s ON email, city FROM shop.few;
        CREATE STATISTICS shop.many_s ON email, city FROM shop.many;
        CREATE STATISTICS shop.few_x ON (email || '!') FROM shop.few;
        ANALYZE shop.few, shop.many; GRANT ALL ON shop.few, shop.many TO analyst
        """)
      try shop.admin.query(
        """
        SELECT warden.mask('shop.few.email', 'email'), warden.mask('shop.many.email', 'email');
        GRANT SELECT ON pg_statistic, pg_statistic_ext_data TO analyst
        """)
    }
  }
}

// MARK: - Catalogs

extension ServerTests.MaskedStatisticsTests {
  /// S stands for the statistics of the tables, and of their indexes.
  static let roads = [
    "SELECT * FROM S", "COPY (SELECT * FROM S) TO STDOUT", "DECLARE c CURSOR FOR SELECT * FROM S; FETCH ALL c",
    "PREPARE p AS SELECT * FROM S; EXECUTE p", "SELECT s::text FROM S s",
    "CREATE TEMP TABLE t AS SELECT s::text FROM S s; TABLE t", "SELECT (SELECT string_agg(s::text, ' ') FROM S s)",
    "CREATE VIEW pg_temp.v AS SELECT s::text FROM S s; TABLE pg_temp.v",
    """
    CREATE FUNCTION pg_temp.f() RETURNS SETOF text LANGUAGE sql AS $f$SELECT s::text FROM S s$f$; SELECT pg_temp.f()
    """,
  ]
  static let statistics = [
    "(SELECT * FROM pg_stats WHERE schemaname = 'shop')", "(SELECT * FROM pg_stats_ext WHERE schemaname = 'shop')",
    "(SELECT * FROM pg_stats_ext_exprs WHERE schemaname = 'shop')",
    """
    (SELECT d.* FROM pg_statistic d JOIN pg_class c ON c.oid = starelid
      WHERE relnamespace = 'shop'::regnamespace AND relname ~ '^(few|many)')
    """,
    """
    (SELECT m.* FROM pg_statistic_ext_data d JOIN pg_statistic_ext e ON e.oid = stxoid, pg_mcv_list_items(stxdmcv) m
      WHERE stxnamespace = 'shop'::regnamespace)
    """,
  ]

  @Test func statisticsOfMaskedColumnsAreLeftOut() throws {
    try fill()
    for (road, statistics) in Self.roads.flatMap({ road in Self.statistics.map { (road, $0) } }) {
      let sql = road.replacing("FROM S", with: "FROM \(statistics)\(road.contains("FROM S s") ? "" : " s")")
      func seen(as role: String) throws -> String {
        let session = try shop.connect(role)
        try session.query("BEGIN")
        return try session.query(sql).text
      }
      #expect(try seen(as: "postgres").contains(Shop.mark), "\(sql)")
      #expect(try !seen(as: "analyst").contains(Shop.mark), "\(sql)")
    }
  }

  @Test func statisticsOfOtherColumnsAreShown() throws {
    try fill()
    let sql = """
      SELECT tablename, attname FROM pg_stats WHERE schemaname = 'shop' AND tablename ~ '^(few|many)' ORDER BY 1, 2
      """
    #expect(
      try shop.connect("analyst").query(sql).rows == [
        ["few", "city"], ["few", "id"], ["many", "city"], ["many", "id"],
      ])
    #expect(try shop.connect("shop_owner").query(sql).rows.count == 8)
  }

  /// A plan that was made for one who sees everything, and the other way round.
  @Test func plansForOthersLeaveThemOutToo() throws {
    try fill()
    let session = try shop.connect()
    try session.prepare("p", "SELECT * FROM pg_stats WHERE schemaname = 'shop' AND attname = 'email'")
    #expect(try session.execute("p").text.contains(Shop.mark))
    try session.query("SET ROLE analyst")
    #expect(try !session.execute("p").text.contains(Shop.mark))
    try session.query("RESET ROLE")
    #expect(try session.execute("p").text.contains(Shop.mark))
  }

  /// Statements that others ran are in the audit's tables, and so in their statistics.
  @Test func statisticsOfTheAuditAreLeftOut() throws {
    try fill()
    try shop.connect("shop_owner").query("SELECT '\(Shop.mark)'")
    try shop.admin.query("SELECT warden.flush(); ANALYZE warden.audit_record")
    let sql = """
      SELECT count(*) FROM pg_statistic s JOIN pg_class c ON c.oid = starelid
       WHERE relnamespace = 'warden'::regnamespace AND relname ~ '^audit_record'
      """
    #expect(try shop.admin.query(sql).value != "0")
    #expect(try shop.connect("analyst").query(sql).value == "0")
  }

  @Test func whatCannotBeFilteredIsRefused() throws {
    try fill()
    #expect(try shop.connect("analyst").error("COPY pg_statistic TO STDOUT")?.sqlstate == "42501")
    #expect(try shop.connect("analyst").error("COPY pg_statistic_ext_data TO STDOUT")?.sqlstate == "42501")
  }
}

// MARK: - The planner

extension ServerTests.MaskedStatisticsTests {
  static let planned = [
    "SELECT * FROM shop.T", "SELECT email FROM shop.T WHERE email = 'x'", "SELECT DISTINCT email FROM shop.T",
    "SELECT email, count(*) FROM shop.T GROUP BY email", "SELECT city, email FROM shop.T GROUP BY city, email",
    "SELECT count(*) FROM shop.T a JOIN shop.T b USING (email)", "SELECT t FROM shop.T t ORDER BY email",
    "SELECT 1 FROM shop.T WHERE email > 'b'", "SELECT 1 FROM shop.T WHERE email LIKE 'same%'",
    "SELECT 1 FROM shop.T WHERE lower(email) = 'samerawmark@raw.example'",
    "SELECT lower(email) FROM shop.T GROUP BY lower(email)", "SELECT email FROM shop.T UNION SELECT 'x'",
    "SELECT 1 FROM shop.T WHERE email = 'sameRAWMARK@raw.example' AND city = 1",
    "UPDATE shop.T SET city = 1 WHERE id = 1 RETURNING email",
    "SELECT 1 FROM shop.T a WHERE EXISTS (SELECT FROM shop.T b WHERE b.email = a.email)",
  ]

  @Test func estimatesTellNothingOfMaskedColumns() throws {
    try fill()
    let sessions = (try shop.connect("analyst"), try shop.connect("shop_owner"))
    var told = 0
    for sql in Self.planned {
      func plan(_ table: String, _ session: Connection) throws -> String {
        try session.query("EXPLAIN (VERBOSE) " + sql.replacing("shop.T", with: "shop.\(table)")).rows
          .compactMap { $0.first ?? nil }.filter { !$0.contains("Query Identifier") }
          .joined(separator: "\n").replacing(table, with: "T")
      }
      #expect(try plan("few", sessions.0) == plan("many", sessions.0), "\(sql)")
      told += try plan("few", sessions.1) == plan("many", sessions.1) ? 0 : 1
    }
    // To the owner they do tell: so there is something to hide.
    #expect(told > 8)
  }

  /// Row security of the owner compares real values.
  @Test func estimatesOfRowSecurityTellNothing() throws {
    try fill()
    for table in ["few", "many"] {
      try shop.connect("shop_owner").query(
        """
        ALTER TABLE shop.\(table) ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON shop.\(table) USING (email = 'sameRAWMARK@raw.example' OR lower(email) = 'x')
        """)
    }
    let analyst = try shop.connect("analyst")
    for sql in ["SELECT city FROM shop.T", "UPDATE shop.T SET city = 1 WHERE id > 0"] {
      func plan(_ table: String) throws -> String {
        try analyst.query("EXPLAIN " + sql.replacing("shop.T", with: "shop.\(table)")).text.replacing(table, with: "T")
      }
      #expect(try plan("few") == plan("many"), "\(sql)")
    }
  }

  /// A scan of an index alone returns rows as the index is sorted: by real values.
  @Test func noIndexSortsByRealValues() throws {
    try fill()
    let owner = try shop.connect("shop_owner")
    try owner.query(
      "CREATE INDEX by_email ON shop.many (email, id); CREATE INDEX by_id ON shop.many (id)")
    try owner.query("VACUUM shop.many")
    for (session, usesIt) in [(owner, true), (try shop.connect("analyst"), false)] {
      try session.query("SET enable_seqscan = off; SET enable_bitmapscan = off")
      for sql in ["SELECT email FROM shop.many", "SELECT id, email FROM shop.many"] {
        let plan = try session.query("EXPLAIN " + sql).text
        #expect(plan.contains("by_email") == usesIt, "\(sql): \(plan)")
      }
      #expect(try session.query("EXPLAIN SELECT email FROM shop.many WHERE id = 7").text.contains("by_id"))
    }
  }

  /// The planner calls the function of an operator with the most common values.
  @Test func ownOperatorSeesNoCommonValue() throws {
    try fill()
    try shop.connect("analyst").query(
      """
      CREATE FUNCTION lab.spy(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
        $$BEGIN IF $1 LIKE '%RAWMARK%' THEN RAISE EXCEPTION 'seen: %', $1; END IF; RETURN true; END$$;
      CREATE OPERATOR lab.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = lab.spy, RESTRICT = eqsel, JOIN = eqjoinsel)
      """)
    let explained = "EXPLAIN SELECT 1 FROM shop.few WHERE email OPERATOR(lab.===) 'x'"
    #expect(try shop.connect("shop_owner").error(explained)?.text.contains(Shop.mark) == true)
    let analyst = try shop.connect("analyst")
    #expect(analyst.error(explained) == nil)
    #expect(analyst.error("SELECT 1 FROM shop.few WHERE email OPERATOR(lab.===) 'x'") == nil)
    let join = "EXPLAIN SELECT 1 FROM shop.few a JOIN shop.few b ON a.email OPERATOR(lab.===) b.email"
    #expect(analyst.error(join) == nil)
  }
}
