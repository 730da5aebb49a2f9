import Foundation
import Testing

extension ServerTests {
  /// Values of masked columns never reach the audit, whoever runs the statement; other values do.
  @Suite struct RedactionAuditTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "redactions")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }
  }
}

extension ServerTests.RedactionAuditTests {
  /// `SECRET…` is the value of a masked column, `keep…` is not.
  static let statements = [
    "INSERT INTO shop.customers (id, email, city) VALUES (90, 'SECRET', 'keep')",
    "INSERT INTO shop.customers (id, email, city) VALUES (90, 'SECRET', 'keep'), (91, lower('SECRET2'), 'keep')",
    "INSERT INTO shop.customers (id, email, city) SELECT 90, 'SECRET', 'keep'",
    "INSERT INTO shop.customers (id, email) VALUES (1, 'SECRET') ON CONFLICT (id) DO UPDATE SET email = 'SECRET2', city = 'keep'",
    "UPDATE shop.customers SET email = 'SECRET', city = 'keep' WHERE id = 1",
    "UPDATE shop.customers SET (email, age) = (SELECT 'SECRET', 7) WHERE city = 'keep'",
    """
    MERGE INTO shop.customers c USING (VALUES (1, 'SECRET')) v (id, email) ON v.id = c.id
    WHEN MATCHED THEN UPDATE SET email = v.email, city = 'keep' WHEN NOT MATCHED THEN INSERT (id, email) VALUES (92, 'SECRET2')
    """,
    "SELECT * FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'",
    "SELECT * FROM shop.customers WHERE 'keep' = city AND (email LIKE 'SECRET%' OR name IN ('SECRET1', 'SECRET2'))",
    "SELECT * FROM shop.customers WHERE email BETWEEN 'SECRET1' AND 'SECRET2' AND city = 'keep'",
    "SELECT * FROM shop.customers WHERE (id, email) = (1, 'SECRET') AND city = 'keep'",
    "SELECT * FROM shop.customers WHERE email = ANY (ARRAY['SECRET']) AND city = 'keep'",
    "SELECT CASE email WHEN 'SECRET' THEN 1 END, 'keep' FROM shop.customers",
    "SELECT * FROM (SELECT lower(email) AS e, city FROM shop.customers) s WHERE e = 'SECRET' AND city = 'keep'",
    "WITH c AS (SELECT email AS e, city FROM shop.customers) SELECT * FROM c WHERE e = 'SECRET' AND city = 'keep'",
    "WITH c AS (SELECT FROM shop.customers WHERE email = 'SECRET') SELECT 'keep'",
    "SELECT 'keep' FROM shop.customers c JOIN (VALUES ('SECRET')) v (e) ON v.e = c.email",
    "SELECT * FROM shop.customers WHERE email = (SELECT 'SECRET'::text) AND EXISTS (SELECT FROM shop.orders WHERE note = 'keep')",
    "SELECT 'keep' UNION ALL SELECT city FROM shop.customers WHERE email > 'SECRET'",
    "SELECT city FROM shop.customers WHERE city = 'keep' GROUP BY city HAVING max(email) > 'SECRET'",
    "SELECT * FROM shop.events_january WHERE email = 'SECRET' AND day > '2026-01-09' AND 'keep' <> ''",
    "SELECT 1 / 0 FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'",
    "EXPLAIN SELECT * FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'",
    "CREATE TABLE shop.copied AS SELECT 1 FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'",
    "CREATE VIEW shop.some AS SELECT 1 FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'",
    "COPY (SELECT 1 FROM shop.customers WHERE email = 'SECRET' AND city = 'keep') TO STDOUT",
    "BEGIN; DECLARE c CURSOR FOR SELECT 1 FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'; FETCH 1 FROM c; COMMIT",
    "PREPARE p AS SELECT 1 FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'; EXECUTE p",
    "PREPARE q (text, text) AS SELECT 1 FROM shop.customers WHERE email = $1 AND city = $2; EXECUTE q ('SECRET', 'keep')",
    "DO $$BEGIN PERFORM 1 FROM shop.customers WHERE city = 'keep'; EXECUTE $1$SELECT 1 FROM shop.customers WHERE email = $2$ || quote_literal('SEC' || 'RET'); END$$",
    "INSERT INTO shop.customers (id, email, city) VALUES (1, 'SECRET', 'keep')",
    "SELECT 'keep' FROM shop.customers WHERE email = 'SECRET'::nosuch",
  ]

  @Test(arguments: statements.dropLast()) func valuesOfMaskedColumnsAreNotStored(_ sql: String) throws {
    for role in ["shop_owner", "analyst"] { _ = try shop.connect(role).error(sql) }
    let records = try shop.audit(where: "true")
    let text = records.map { $0.values.joined(separator: "\n") }.joined(separator: "\n")
    #expect(!text.contains("SECRET"), "\(text)")
    #expect(text.contains("keep"), "\(text)")
  }

  /// The limit that the threat model states: nothing is known of a statement that was not analysed.
  @Test func statementThatFailsInAnalysisKeepsItsText() throws {
    let sql = try #require(Self.statements.last)
    #expect(try shop.connect("shop_owner").error(sql)?.sqlstate == "42704")
    #expect(try shop.record(of: "nosuch")["statement"] == sql)
  }

  @Test func parametersForMaskedColumnsAreNotStored() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("SELECT 1 FROM shop.customers WHERE email = $1 AND city = $2", "SECRET", "keep")
    try owner.query("INSERT INTO shop.customers (id, email, age) VALUES ($1::int, $2, $3::int)", "93", "SECRET", nil)
    try owner.prepare("p", "UPDATE shop.customers SET name = $1 WHERE id = $2::int")
    for _ in 1...7 { try owner.execute("p", "SECRET", "1") }
    let parameters = try shop.audit().compactMap { $0["parameters"] }
    #expect(Array(parameters.prefix(2)) == ["{***,keep}", "{93,***,NULL}"] || parameters[1] == "{93,***,***}")
    #expect(parameters.dropFirst(2).allSatisfy { $0 == "{***,1}" } && parameters.count == 9)
  }

  static let values =
    [
      ("SELECT $1::int, $2::bigint, $3::bool", ["-5", "9000000000", "true"], "{-5,9000000000,t}"),
      (
        "SELECT $1::text, $2::uuid", ["a,\"b\\", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"],
        "{\"a,\\\"b\\\\\",6ba7b810-9dad-11d1-80b4-00c04fd430c8}"
      ),
      ("SELECT $1::numeric, $2::int[], $3::date", ["1.50", "{1,2}", "2026-01-02"], "{1.50,\"{1,2}\",2026-01-02}"),
      ("SELECT $1::text, $2::text", [nil, ""], "{NULL,\"\"}"),
    ] as [(String, [String?], String)]

  @Test(arguments: values) func parametersAreWrittenAsTheirTypesDo(
    _ sql: String, _ given: [String?], _ recorded: String
  ) throws {
    let owner = try shop.connect("shop_owner")
    switch given.count {
    case 3: try owner.query(sql, given[0], given[1], given[2])
    default: try owner.query(sql, given[0], given[1])
    }
    #expect(try shop.record(of: sql)["parameters"] == recorded)
  }

  @Test func parametersOfInnerStatementsAreRecorded() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query("PREPARE p (int, text) AS SELECT $1, $2; EXECUTE p (7, 'x')")
    try owner.query(
      "DO $$DECLARE a int := 3; unused text := 'u'; BEGIN PERFORM 1 FROM shop.parcels WHERE id = a; END$$")
    try owner.query("DO $$BEGIN EXECUTE 'SELECT $1' USING 'used'; END$$")
    #expect(try shop.audit().compactMap { $0["parameters"] } == ["{7,x}", "{3}", "{used}"])
  }

  @Test func longValuesAreNotWrittenWhole() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      "SELECT length($1::text), $2::jsonb", String(repeating: "é", count: 100_000),
      "{\"a\": \"\(String(repeating: "x", count: 3000))\"}")
    let parameters = try #require(try shop.record(of: "SELECT length")["parameters"])
    #expect(parameters.utf8.count < 1400 && parameters.contains("200000") && parameters.contains("bytes"))
    #expect(parameters.hasPrefix("{\"é") || parameters.hasPrefix("{é"))
  }
}

// MARK: - Errors

extension ServerTests.RedactionAuditTests {
  /// Errors that repeat what stands in a masked column, read by one who sees it.
  static let errors: [(sql: String, sqlstate: String)] = [
    ("SELECT email::int FROM shop.customers WHERE id = 1", "22P02"),
    ("DO $$DECLARE v text; BEGIN SELECT email INTO v FROM shop.customers WHERE id = 1; PERFORM v::int; END$$", "22P02"),
    (
      "DO $$DECLARE v text; BEGIN SELECT email INTO v FROM shop.customers WHERE id = 1; RAISE 'it is %', v; END$$",
      "P0001"
    ),
  ]

  @Test(arguments: errors) func storedValuesAreNotInErrors(_ sql: String, _ sqlstate: String) throws {
    let owner = try shop.connect("shop_owner")
    let value = try #require(try owner.query("SELECT email FROM shop.customers WHERE id = 1").value)
    let failure = try #require(owner.error(sql))
    #expect(failure.sqlstate == sqlstate && failure.text.contains(value), "the client is told: \(failure.text)")
    let records = try shop.audit(where: "sqlstate = '\(sqlstate)'")
    #expect(!records.isEmpty && records.allSatisfy { $0["error"]?.contains(value) == false }, "\(records)")
  }
}
