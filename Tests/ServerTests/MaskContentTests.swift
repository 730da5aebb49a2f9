import Testing

extension ServerTests {
  /// Masks that look at what a value says: fake, scrub and json.
  @Suite struct MaskContentTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "mask_content")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query(
        """
        CREATE TABLE shop.contents (id int, mail text, mail2 varchar(60), card text, iban text, ip inet, u uuid, day date,
                                    note text, doc jsonb, raw json);
        INSERT INTO shop.contents
        SELECT i, 'RAWMARK' || i % 5 || '@raw.example', 'RAWMARK' || i % 5 || '@raw.example', 'RAWMARK' || i, 'RAWMARK' || i,
               ('10.0.0.' || i)::inet, gen_random_uuid(), date '2020-01-01' + i,
               'Write to RAWMARK@raw.example or call +49 171 1234567.',
               '{"mail": "RAWMARK@raw.example", "n": 1.50, "deep": [{"mail": "RAWMARK"}]}',
               '{"m\\u0061il": "RAWMARK", "mail": "RAWMARK", "n": 1.50}'
          FROM generate_series(1, 50) i;
        GRANT ALL ON shop.contents TO analyst;
        SELECT warden.mask('shop.contents.mail', 'fake', '{"kind": "email"}');
        SELECT warden.mask('shop.contents.mail2', 'fake', '{"kind": "email"}');
        SELECT warden.mask('shop.contents.card', 'fake', '{"kind": "card"}');
        SELECT warden.mask('shop.contents.iban', 'fake', '{"kind": "iban"}');
        SELECT warden.mask('shop.contents.ip', 'fake');
        SELECT warden.mask('shop.contents.u', 'fake');
        SELECT warden.mask('shop.contents.day', 'fake');
        SELECT warden.mask('shop.contents.note', 'scrub');
        SELECT warden.mask('shop.contents.doc', 'json', '{"keys": ["mail"]}');
        SELECT warden.mask('shop.contents.raw', 'json', '{"paths": {"mail": "email"}}');
        """)
    }
  }
}

extension ServerTests.MaskContentTests {
  static let roads = [
    "SELECT * FROM shop.contents", "COPY shop.contents TO STDOUT", "COPY (SELECT * FROM shop.contents) TO STDOUT",
    "DECLARE c CURSOR FOR SELECT * FROM shop.contents; FETCH ALL c",
    "PREPARE p AS SELECT * FROM shop.contents; EXECUTE p",
    "SELECT to_jsonb(c) FROM shop.contents c", "SELECT c::text FROM shop.contents c",
    "CREATE VIEW lab.v AS SELECT * FROM shop.contents; SELECT * FROM lab.v",
    "CREATE FUNCTION pg_temp.f() RETURNS SETOF shop.contents LANGUAGE sql AS 'SELECT * FROM shop.contents'; SELECT pg_temp.f()",
  ]

  @Test(arguments: roads) func noRoadShowsTheRawValue(_ sql: String) throws {
    let analyst = try shop.connect("analyst")
    try analyst.query("BEGIN")
    let seen = try analyst.query(sql).text
    #expect(!seen.contains(Shop.mark) && seen.contains("[email]") && seen.contains("[redacted]"))
    #expect(try shop.admin.query("SELECT note FROM shop.contents WHERE id = 1").text.contains(Shop.mark))
  }

  @Test func resultIsWhatTheMaskingViewGives() throws {
    let analyst = try shop.connect("analyst")
    let order = "ORDER BY id"
    #expect(
      try analyst.query("SELECT * FROM shop.contents \(order)").rows
        == shop.admin.query("SELECT * FROM warden_views.shop__contents \(order)").rows)
  }

  @Test func equalValuesHaveEqualFakes() throws {
    let analyst = try shop.connect("analyst")
    // text and varchar, whichever session
    #expect(try analyst.query("SELECT count(*) FROM shop.contents WHERE mail = mail2").value == "50")
    #expect(try analyst.query("SELECT count(DISTINCT mail) FROM shop.contents").value == "5")
    #expect(
      try analyst.query("SELECT count(*) FROM shop.contents a JOIN shop.contents b ON a.mail = b.mail2").value == "500")
    let before = try analyst.query("SELECT day FROM shop.contents ORDER BY id").rows
    try analyst.query("SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET IntervalStyle = 'iso_8601'")
    try analyst.query("SET DateStyle = 'ISO'")
    #expect(try analyst.query("SELECT day FROM shop.contents ORDER BY id").rows == before)
  }

  @Test func fakesPassTheChecksOfTheirKind() throws {
    let analyst = try shop.connect("analyst")
    #expect(
      try analyst.query("SELECT count(*) FROM shop.contents WHERE mail ~ '^[a-z0-9.]+@example\\.(com|org|net)$'").value
        == "50")
    let luhn = """
      SELECT count(*) FROM shop.contents WHERE (SELECT sum(CASE WHEN i % 2 = 1 THEN d / 5 + d * 2 % 10 ELSE d END)
        FROM (SELECT i, substr(card, i, 1)::int AS d FROM generate_series(1, 16) i) s) % 10 = 0
      """
    #expect(try analyst.query(luhn).value == "50")
    let mod97 =
      "SELECT count(*) FROM shop.contents WHERE (substr(iban, 5) || '1314' || substr(iban, 3, 2))::numeric % 97 = 1"
    #expect(try analyst.query(mod97).value == "50")
    #expect(try analyst.query("SELECT count(*) FROM shop.contents WHERE day < '2010-01-01'").value == "50")
  }

  @Test func jsonIsMaskedByPath() throws {
    let row = try shop.connect("analyst").query("SELECT doc, raw, note FROM shop.contents WHERE id = 1").rows.first
    #expect(
      row == [
        #"{"n": 1.50, "deep": [{"mail": "[redacted]"}], "mail": "[redacted]"}"#,
        #"{"m\u0061il": "***", "mail": "***", "n": 1.50}"#, "Write to [email] or call [phone].",
      ])
  }

  static let invalid = [
    ("'shop.contents.note', 'fake'", "first_name"),
    ("'shop.contents.note', 'fake', '{\"kind\": \"dog\"}'", "first_name"),
    ("'shop.customers.age', 'fake', '{\"kind\": \"name\"}'", "uuid"), ("'shop.contents.id', 'scrub'", "text"),
    ("'shop.contents.doc', 'json'", "paths"), ("'shop.contents.doc', 'json', '{\"paths\": [\"a..b\"]}'", "**"),
    ("'shop.contents.doc', 'json', '{\"paths\": {\"a\": \"hash\"}}'", "last4"),
    ("'shop.contents.note', 'json', '{\"paths\": [\"a\"]}'", "json"),
    ("'shop.contents.doc', 'json', '{\"paths\": [\"a\", \"b\"], \"methods\": [\"null\"]}'", "paths"),
  ]

  @Test(arguments: invalid) func invalidDefinitionIsRefused(_ arguments: String, _ named: String) throws {
    let error = try shop.connect().error("SELECT warden.mask(\(arguments))")
    #expect(error?.sqlstate == "22023" && error?.hint.contains(named) == true, "\(error?.text ?? "no error")")
  }

  @Test func maskFunctionsAreNotForUsers() throws {
    for call in ["mask_fake('x', 'email', -1)", "mask_scrub('x')", "mask_json('{}', 'redact a')"] {
      #expect(try shop.connect("analyst").error("SELECT warden.\(call)")?.sqlstate == "42501")
    }
  }

  @Test func hostileTextEnds() throws {
    try shop.admin.query(
      "INSERT INTO shop.contents (id, note) SELECT 100, repeat(p, 1000000 / length(p)) FROM unnest('{@,1,.,a@}'::text[]) p"
    )
    let analyst = try shop.connect("analyst")
    try analyst.query("SET statement_timeout = '20s'")
    #expect(try analyst.query("SELECT count(note) FROM shop.contents WHERE id = 100").value == "4")
    #expect(try analyst.query("SELECT count(*) FROM shop.contents WHERE id = 100 AND length(note) > 1000").value == "4")
  }
}
