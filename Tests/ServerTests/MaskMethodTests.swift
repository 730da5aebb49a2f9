import Testing

extension ServerTests {
  /// Each method on columns of each type: what comes out is of the type and fits, or the definition is refused.
  @Suite struct MaskMethodTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "methods")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    /// What the analyst sees of the values, in a new column of the type, masked so.
    fileprivate func masked(_ type: String, _ method: String, _ options: String = "{}", _ values: String...) throws
      -> [String?]
    {
      Self.number += 1
      let table = "shop.m_\(Self.number)"
      try shop.admin.query("CREATE TABLE \(table) (id serial, v \(type))")
      for value in values { try shop.admin.query("INSERT INTO \(table) (v) VALUES ($1)", value) }
      try shop.admin.query("GRANT SELECT ON \(table) TO analyst")
      try shop.admin.query("SELECT warden.mask('\(table).v', '\(method)', '\(options)')")
      return try shop.connect("analyst").query("SELECT v FROM \(table) ORDER BY id").rows.map { $0[0] }
    }

    fileprivate nonisolated(unsafe) static var number = 0
  }
}

// MARK: - Every method, every type

extension ServerTests.MaskMethodTests {
  struct Column: Sendable, CustomTestStringConvertible {
    let type: String
    /// Of a number from 1 to 200, i, a value of the type.
    let value: String
    let methods: Set<String>
    var testDescription: String { type }

    init(_ type: String, _ value: String, _ methods: String) {
      self.type = type
      self.value = value
      self.methods = Set(methods.split(separator: " ").map { String($0) })
    }
  }

  static let methods = [
    "redact", "null", "partial", "email", "last4", "hash", "noise", "round", "year", "ip_prefix",
  ]

  static let columns = [
    Column("text", "repeat(chr(i * 37 % 5000 + 1), i * 7)", "redact null partial email last4 hash"),
    Column("varchar(16)", "substr(md5(i::text), i % 16)", "redact null partial email last4 hash"),
    Column("varchar(5)", "left(md5(i::text), i % 6)", "redact null partial email last4"),
    Column("char(20)", "left(md5(i::text), i % 20)", "redact null partial email last4 hash"),
    Column("name", "md5(i::text)", "redact null partial email last4 hash"),
    Column("smallint", "(ARRAY[-32768, 32767, 0, 1, -1])[i % 5 + 1]", "redact null hash noise round"),
    Column("integer", "(ARRAY[-2147483648, 2147483647, 0, 7])[i % 4 + 1]", "redact null hash noise round"),
    Column(
      "bigint", "(ARRAY[-9223372036854775808, 9223372036854775807, 0, i])[i % 4 + 1]", "redact null hash noise round"),
    Column(
      "numeric", "(ARRAY['NaN', 'Infinity', '1e300', '-1e-300', '0.5'])[i % 5 + 1]::numeric * i",
      "redact null hash noise round"),
    Column("numeric(5,2)", "999.99 - i * 9", "redact null noise round"),
    Column("numeric(12,2)", "9999999999.99 - i", "redact null hash noise round"),
    Column("numeric(3,3)", "0.999 - i / 1000.0", "redact null"),
    Column("real", "(ARRAY['NaN', 'Infinity', '3.4e38', '-1e-45', '0'])[i % 5 + 1]::real", "redact null noise round"),
    Column(
      "double precision", "(ARRAY['NaN', '-Infinity', '1.7e308', '5e-324', '0'])[i % 5 + 1]::float8",
      "redact null noise round"),
    Column(
      "money", "(ARRAY['-92233720368547758.08', '92233720368547758.07', '1'])[i % 3 + 1]::money",
      "redact null noise round"),
    Column("boolean", "i % 2 = 0", "redact null"),
    Column(
      "date", "(ARRAY['infinity', '4713-11-24 BC', '5874897-12-31', '2000-02-29'])[i % 4 + 1]::date",
      "redact null noise round year"),
    Column(
      "timestamp(3)",
      "(ARRAY['-infinity', '4713-11-24 BC', '294276-12-31 23:59:59', '2000-02-29'])[i % 4 + 1]::timestamp",
      "redact null noise round year"),
    Column(
      "timestamptz", "(ARRAY['infinity', '4713-11-24 UTC BC', '294276-12-31 23:59:59 UTC'])[i % 3 + 1]::timestamptz",
      "redact null noise round year"),
    Column("time", "(ARRAY['24:00', '00:00', '13:14:15.6'])[i % 3 + 1]::time", "redact null round"),
    Column("timetz", "'13:14:15+05'", "redact null"),
    Column("interval", "i * interval '1 month 1 day 1 second'", "redact null"),
    Column("uuid", "gen_random_uuid()", "redact null hash"),
    Column(
      "inet", "(ARRAY['10.1.2.3', '10.1.2.3/7', '::1', '2001:db8::5/64'])[i % 4 + 1]::inet", "redact null ip_prefix"),
    Column("cidr", "(ARRAY['10.1.2.0/24', '2001:db8::/32'])[i % 2 + 1]::cidr", "redact null ip_prefix"),
    Column("jsonb", "to_jsonb(i)", "redact null"),
    Column("json", "to_json(i)", "redact null"),
    Column("bytea", "sha256(i::text::bytea)", "redact null hash"),
    Column("shop.mood", "(ARRAY['sad', 'happy'])[i % 2 + 1]::shop.mood", "redact null hash"),
    Column("shop.code", "'x' || i", "redact null partial email last4 hash"),
    Column("shop.address", "i || '@raw.example'", "null partial email last4 hash"),
    Column("shop.small", "i % 8", "redact null noise round"),
    Column("text[]", "ARRAY[[md5(i::text), NULL], ['', 'ab']]", "redact null partial email last4 hash"),
    Column("integer[]", "ARRAY[i, -i, NULL, 2147483647]", "redact null hash noise round"),
    Column("uuid[]", "ARRAY[gen_random_uuid()]", "redact null hash"),
    Column("date[]", "ARRAY['2000-02-29'::date + i]", "redact null noise round year"),
    Column("timestamptz[]", "ARRAY['2000-02-29'::timestamptz]", "redact null noise round year"),
    Column("inet[]", "ARRAY['10.1.2.3'::inet + i]", "redact null ip_prefix"),
    Column("shop.mood[]", "ARRAY['sad'::shop.mood]", "redact null"),
    Column("int4range", "int4range(i, i + 5)", "redact null"),
    Column("point", "point(i, 2)", "redact null"),
    Column("xml", "'<a/>'", "redact null"),
    Column("tsvector", "to_tsvector('simple', i::text)", "redact null"),
    Column("bit(4)", "B'1010'", "redact null"),
    Column("macaddr", "'08:00:2b:01:02:03'", "redact null"),
    Column("shop.pair", "ROW(i, i)", "null"),
    Column("regclass", "'pg_class'", "null"),
  ]

  /// Copied into a column of the type by the analyst, which checks domains, lengths and ranges once more.
  @Test(arguments: columns) func fitsOrIsRefused(_ column: Column) throws {
    let admin = shop.admin
    try admin.query(
      """
      CREATE TYPE shop.mood AS ENUM ('sad', 'fine', 'happy'); CREATE TYPE shop.pair AS (a int, b int);
      CREATE DOMAIN shop.code AS varchar(20); CREATE DOMAIN shop.address AS text CHECK (VALUE LIKE '%@%');
      CREATE DOMAIN shop.small AS numeric(3,1) CHECK (VALUE BETWEEN 0 AND 9);
      CREATE TABLE shop.m (id int, v \(column.type)); GRANT SELECT ON shop.m TO analyst; GRANT USAGE ON SCHEMA shop TO analyst;
      INSERT INTO shop.m SELECT i, (\(column.value))::\(column.type) FROM generate_series(1, 200) i
      """)
    for method in Self.methods {
      let error = admin.error("SELECT warden.mask('shop.m.v', '\(method)')")
      guard column.methods.contains(method) else {
        #expect(error != nil, "\(method) is taken")
        #expect(["22023", "23514"].contains(error?.sqlstate), "\(method): \(error?.text ?? "")")
        #expect(error?.sqlstate != "22023" || error?.hint.isEmpty == false)
        continue
      }
      #expect(error == nil, "\(method): \(error?.text ?? "")")
      let analyst = try shop.connect("analyst")
      try analyst.query("CREATE TEMP TABLE copy (v \(column.type)); INSERT INTO copy SELECT v FROM shop.m")
      #expect(try analyst.query("SELECT count(*) FROM copy").value == "200", "\(method)")
      let nulls = try analyst.query("SELECT count(*) FROM copy WHERE v IS NULL").value
      #expect(method != "null" || nulls == "200")
      #expect(["null", "partial", "last4", "hash", "noise", "round"].contains(method) || nulls == "0", "\(method)")
    }
  }
}

// MARK: - What methods make of values

extension ServerTests.MaskMethodTests {
  @Test func tokensJoinAcrossTypes() throws {
    try shop.admin.query(
      """
      CREATE TABLE shop.a (t text, v varchar(30), c char(30), n name, i int, b bigint, d numeric, e numeric(12,2));
      CREATE TABLE shop.b (LIKE shop.a);
      INSERT INTO shop.a SELECT k, k, k, k, i, i, i, i FROM (SELECT i, 'key ' || i AS k FROM generate_series(1, 50) i) s;
      INSERT INTO shop.b SELECT * FROM shop.a;
      GRANT SELECT ON shop.a, shop.b TO analyst;
      SELECT warden.mask('shop.' || t || '.' || c, 'hash')
        FROM unnest('{a,b}'::text[]) t, unnest('{t,v,c,n,i,b,d,e}'::text[]) c
      """)
    let analyst = try shop.connect("analyst")
    for (left, right) in [
      ("t", "t"), ("t", "v"), ("v", "c::text"), ("n", "t"), ("i", "i"), ("i", "b"), ("b", "d"), ("e", "i"),
    ] {
      let pairs = try analyst.query("SELECT count(*) FROM shop.a JOIN shop.b ON a.\(left) = b.\(right)").value
      #expect(pairs == "50", "\(left) = \(right)")
    }
    #expect(try analyst.query("SELECT count(*) FROM shop.a WHERE t LIKE 'key%' OR i BETWEEN 1 AND 50").value == "0")
  }

  @Test func noiseIsTheSameEachTime() throws {
    let first = try masked("numeric(8,2)", "noise", #"{"percent": 5}"#, "1000.00", "2000.00", "-3.50", "0")
    for _ in 0..<20 {
      let again = try shop.connect("analyst").query("SELECT v FROM shop.m_\(Self.number) ORDER BY id").rows.map {
        $0[0]
      }
      #expect(again == first)
    }
    #expect(first[3] == "0.00")
    let number = try #require(Double(first[0] ?? ""))
    #expect(number != 1000 && abs(number - 1000) <= 50)
  }

  @Test func methodsByExample() throws {
    #expect(try masked("timestamptz", "year", "{}", "2024-12-31 23:30:00-05") == ["2025-01-01 00:00:00+00"])
    #expect(try masked("date", "round", #"{"to": "quarter"}"#, "2024-08-17", "infinity") == ["2024-07-01", "infinity"])
    #expect(try masked("numeric(6,2)", "round", #"{"to": 0.25}"#, "10.13", "9999.99") == ["10.25", "9999.75"])
    #expect(
      try masked("integer", "round", #"{"to": 500}"#, "1749", "-1750", "2147483647") == ["1500", "-2000", "2147483500"])
    #expect(try masked("inet", "ip_prefix", "{}", "10.1.2.3", "2001:db8:1:2::3") == ["10.1.2.0/24", "2001:db8:1::/48"])
    #expect(try masked("inet", "ip_prefix", #"{"v4": 8}"#, "10.1.2.3") == ["10.0.0.0/8"])
    #expect(try masked("text", "last4", "{}", "4111 1111 1111 1234", "1234") == ["****1234", "****"])
    #expect(try masked("varchar(9)", "hash", #"{"length": 9}"#, "a").first??.count == 9)
  }

  static let badOptions = [
    ("text", "hash", #"{"length": 7}"#), ("varchar(15)", "hash", "{}"), ("integer", "hash", #"{"length": 9}"#),
    ("integer", "noise", #"{"percent": 0}"#), ("integer", "noise", #"{"percent": 101}"#),
    ("date", "noise", #"{"percent": 5}"#),
    ("integer", "noise", #"{"days": 5}"#), ("date", "noise", #"{"days": 0}"#), ("smallint", "round", #"{"to": 32768}"#),
    ("integer", "round", #"{"to": 0}"#), ("integer", "round", #"{"to": "month"}"#),
    ("date", "round", #"{"to": "hour"}"#),
    ("date", "round", #"{"to": ["day", "month"]}"#), ("inet", "ip_prefix", #"{"v4": 32}"#),
    ("date", "year", #"{"to": 1}"#),
    ("text", "last4", #"{"fill": "x"}"#), ("text", "partial", #"{"fill": {}}"#), ("text", "partial", #"{"fill": []}"#),
    ("text", "partial", #"{"fill": null}"#), ("numeric(3,-2)", "noise", "{}"),
  ]

  @Test(arguments: badOptions) func optionsAreChecked(_ type: String, _ method: String, _ options: String) throws {
    try shop.admin.query("CREATE TABLE shop.m (v \(type))")
    let error = shop.admin.error("SELECT warden.mask('shop.m.v', '\(method)', '\(options)')")
    #expect(error?.sqlstate == "22023" && error?.hint.isEmpty == false, "\(error?.text ?? "no error")")
    #expect(try shop.admin.query("SELECT count(*) FROM warden.masks WHERE target = 'shop.m.v'").value == "0")
  }

  @Test func dumpsThatDoNotRestoreAreToldOf() throws {
    try shop.admin.query("CREATE TABLE shop.m (k text PRIMARY KEY, v text)")
    let admin = try shop.connect()
    admin.keepNotices()
    try admin.query("SELECT warden.mask('shop.m.k', 'redact')")
    #expect(admin.takeNotices().contains { $0.contains("which is unique") && $0.contains("hash") })
    try admin.query("SELECT warden.mask('shop.m.k', 'null')")
    #expect(admin.takeNotices().contains { $0.contains("which is NOT NULL") })
    try admin.query("SELECT warden.mask('shop.m.k', 'hash'), warden.mask('shop.m.v', 'null')")
    #expect(admin.takeNotices().isEmpty)
  }
}
