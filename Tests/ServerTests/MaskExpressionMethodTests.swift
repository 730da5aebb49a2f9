import Testing

extension ServerTests {
  /// Method `expression`: SQL over the column alone, bound once; where it raises, a constant and no word of the value.
  @Suite struct MaskExpressionMethodTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "mask_expressions")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query(
        """
        SET ROLE shop_owner;
        CREATE DOMAIN shop.short AS text CHECK (length(VALUE) < 20);
        CREATE FUNCTION shop.strict_half(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        BEGIN
          IF v LIKE 'b%' THEN RAISE EXCEPTION 'cannot halve %', v USING DETAIL = v, HINT = v; END IF;
          IF v LIKE 'c%' THEN RAISE EXCEPTION 'cancelled over %', v USING ERRCODE = '57014', DETAIL = v; END IF;
          RETURN left(v, 1) || '/2';
        END$$;
        CREATE TABLE shop.things (id int PRIMARY KEY, v text, n int, code varchar(6), s shop.short);
        INSERT INTO shop.things VALUES
          (1, '12', 12, 'abcdef', 's RAWMARK'), (2, 'bRAWMARK', 13, 'RAWMAR', 't'), (3, NULL, NULL, NULL, NULL);
        GRANT ALL ON shop.things TO analyst;
        RESET ROLE;
        """)
    }

    private func mask(_ column: String, _ sql: String, on connection: Connection? = nil) throws {
      try (connection ?? shop.admin).query(
        "SELECT warden.mask('shop.things.' || $1, 'expression', jsonb_build_object('sql', $2::text))", column, sql)
    }

    private func seen(_ column: String) throws -> [String?] {
      try shop.connect("analyst").query("SELECT \(column) FROM shop.things ORDER BY id").rows.map { $0[0] }
    }
  }
}

extension ServerTests.MaskExpressionMethodTests {
  @Test func expressionStandsForTheColumn() throws {
    try mask("v", "upper(left(v, 1)) || '…'")
    try mask("n", "n / 10 * 10")
    try mask("code", "CASE WHEN code LIKE 'a%' THEN 'A' ELSE repeat('x', 50) END")
    try mask("s", "md5(s)")
    #expect(try seen("v") == ["1…", "B…", nil])
    #expect(try seen("n") == ["10", "10", nil])
    #expect(try seen("code") == ["A", "xxxxxx", "xxxxxx"])
    // 32 characters do not fit the domain: its constant stands there.
    #expect(try seen("s") == ["[redacted]", "[redacted]", nil])
    let analyst = try shop.connect("analyst")
    #expect(try analyst.query("SELECT id FROM shop.things WHERE v = 'B…'").value == "2")
    #expect(try analyst.query("COPY (SELECT v FROM shop.things ORDER BY id) TO STDOUT").copied == "1…\nB…\n\\N\n")
    #expect(try analyst.query("SELECT v FROM warden_views.shop__things WHERE id = 2").value == "B…")
    #expect(try analyst.query("UPDATE shop.things SET n = 5 WHERE id = 2 RETURNING v, n").rows == [["B…", "0"]])
    #expect(try shop.connect("shop_owner").query("SELECT v FROM shop.things WHERE id = 2").value == "bRAWMARK")
  }

  @Test func errorGivesTheConstantAndNoWord() throws {
    try mask("v", "(v::int * 2)::text")
    let analyst = try shop.connect("analyst", options: "-c client_min_messages=debug1")
    #expect(try seen("v") == ["24", "[redacted]", nil])
    for sql in [
      "SELECT max(v), array_agg(v) FROM shop.things", "SELECT v, a.id FROM shop.things a JOIN shop.things b USING (v)",
      "SELECT v FROM shop.things GROUP BY v ORDER BY v", "DECLARE c CURSOR WITH HOLD FOR SELECT v FROM shop.things",
      "DO $$DECLARE r record; BEGIN FOR r IN SELECT v FROM shop.things LOOP END LOOP; END$$",
      "EXPLAIN (ANALYZE, VERBOSE) SELECT v FROM shop.things", "CREATE TABLE lab.copy AS SELECT v FROM shop.things",
    ] {
      let result = try analyst.query(sql)
      #expect(!result.text.contains(Shop.mark), "\(sql)")
    }
  }

  @Test func errorInAUsersFunctionGivesTheConstant() throws {
    try mask("v", "shop.strict_half(v)")
    #expect(try seen("v") == ["1/2", "[redacted]", "/2"].map { $0 == "/2" ? nil : $0 })
    // A cancelled statement is cancelled, but not told over what.
    try shop.admin.query("UPDATE shop.things SET v = 'cRAWMARK' WHERE id = 2")
    let error = try shop.connect("analyst").error("SELECT v FROM shop.things ORDER BY id")
    #expect(error?.sqlstate == "57014" && error?.text.contains(Shop.mark) == false, "\(error?.text ?? "no error")")
    #expect(try shop.audit(where: "sqlstate = '57014'").allSatisfy { "\($0)".contains(Shop.mark) == false })
  }

  @Test func parallelWorkersMaskAlike() throws {
    try shop.admin.query(
      """
      INSERT INTO shop.things
      SELECT g, CASE g % 2 WHEN 0 THEN g::text ELSE 'zRAWMARK' END FROM generate_series(10, 20009) g;
      ANALYZE shop.things;
      """)
    try mask("v", "(v::int * 0)::text")
    let analyst = try shop.connect("analyst")
    try analyst.query(
      "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
    let counts = "SELECT v, count(*) FROM shop.things WHERE id >= 10 GROUP BY v ORDER BY v"
    #expect(try analyst.query("EXPLAIN " + counts).text.contains("Parallel"))
    #expect(try analyst.query(counts).rows == [["0", "10000"], ["[redacted]", "10000"]])
    // What runs in a subtransaction does not run in parallel.
    try mask("v", "shop.strict_half(v)")
    #expect(try !analyst.query("EXPLAIN " + counts).text.contains("Parallel"))
  }

  static let refused = [
    Scenario("subquery", "(SELECT v)"), Scenario("other table", "(SELECT email FROM shop.customers LIMIT 1)"),
    Scenario("aggregate", "max(v)"), Scenario("window", "first_value(v) OVER ()"),
    Scenario("set", "regexp_split_to_table(v, ',')"), Scenario("volatile", "v || random()"),
    Scenario("other column", "v || code"), Scenario("qualified column", "things.v"),
    Scenario("whole row", "things::text"),
    Scenario("parameter", "v || $1"), Scenario("system column", "ctid::text"), Scenario("identity", "v"),
    Scenario("identity by casts", "(v::varchar)::text COLLATE \"C\""), Scenario("own mask", "warden.mask_email(v)"),
    Scenario("type", "ARRAY[v]::int[]::box[]"), Scenario("two statements", "upper(v); DROP TABLE shop.things"),
    Scenario("comment out", "upper(v)) FROM shop.things --"), Scenario("two columns", "upper(v), v"),
    Scenario("from", "upper(v) FROM shop.things"), Scenario("alias", "upper(v) AS v"), Scenario("empty", ""),
    Scenario("search path", "strict_half(v)"), Scenario("star", "*"), Scenario("where", "upper(v) WHERE true"),
  ]

  /// The table's owner tries the expression, and who reads the column runs it.
  @Test func functionsOfOthersAreNotTrusted() throws {
    try shop.connect("analyst").query(
      """
      CREATE FUNCTION lab.f(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''ran''; END';
      CREATE FUNCTION lab.g(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lab.f($1)';
      CREATE OPERATOR lab.## (LEFTARG = text, RIGHTARG = text, FUNCTION = lab.g);
      CREATE DOMAIN lab.d AS text CHECK (lab.f(VALUE) <> '')
      """)
    for sql in ["lab.f(v)", "upper(lab.f(v))", "v OPERATOR(lab.##) 'x'", "v::lab.d", "(v || 'x')::lab.d::varchar"] {
      for role in ["postgres", "policy_admin"] {
        let error = try shop.connect(role).error(
          "SELECT warden.mask('shop.things.v', 'expression', jsonb_build_object('sql', $$\(sql)$$))")
        #expect(
          error?.sqlstate == "22023" && error?.text.contains("superuser") == true, "\(sql): \(error?.text ?? "none")")
      }
    }
  }

  @Test(arguments: refused) func isRefusedAtDefinition(_ scenario: Scenario) throws {
    try shop.admin.query("SET search_path = shop, public")
    defer { _ = try? shop.admin.query("RESET search_path") }
    let error = shop.admin.error(
      "SELECT warden.mask('shop.things.v', 'expression', jsonb_build_object('sql', $$\(scenario.sql)$$))")
    #expect(error != nil && error?.sqlstate.hasPrefix("XX") == false, "\(scenario): \(error?.text ?? "no error")")
    #expect(try shop.admin.query("SELECT count(*) FROM warden.masks WHERE target LIKE 'shop.things%'").value == "0")
  }

  @Test func meaningSurvivesMigrations() throws {
    try mask("v", "upper(left(v, 2))")
    let owner = try shop.connect("shop_owner")
    try owner.query("ALTER TABLE shop.things RENAME v TO renamed")
    #expect(try seen("renamed") == ["12", "BR", nil])
    try owner.query("ALTER TABLE shop.things ALTER renamed TYPE varchar(100)")
    try owner.query("ALTER TABLE shop.things ADD upper text")
    #expect(try seen("renamed") == ["12", "BR", nil])
    // Neither a path nor a function of the same name changes what was bound.
    try shop.connect("analyst").query(
      "CREATE FUNCTION lab.upper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'")
    let hijack = "SET search_path = lab, pg_catalog; SELECT renamed FROM shop.things WHERE id = 2"
    #expect(try shop.connect("analyst").query(hijack).value == "BR")
  }

  @Test func policyAdminDefinesAndIsToldOfPrivileges() throws {
    try shop.admin.query("REVOKE EXECUTE ON FUNCTION shop.strict_half FROM PUBLIC")
    let policyAdmin = try shop.connect("policy_admin")
    try mask("n", "n + 1", on: policyAdmin)
    try shop.admin.query("GRANT EXECUTE ON FUNCTION shop.strict_half TO policy_admin, shop_owner")
    try mask("v", "shop.strict_half(v)", on: policyAdmin)
    #expect(policyAdmin.error("SELECT warden.mask_email('x@y.example')")?.sqlstate == "42501")
    let error = try shop.connect("analyst").error("SELECT v FROM shop.things")
    #expect(error?.sqlstate == "42501" && error?.text.contains(Shop.mark) == false)
    try shop.admin.query("GRANT EXECUTE ON FUNCTION shop.strict_half TO analyst")
    #expect(try seen("v") == ["1/2", "[redacted]", nil])
  }
}
